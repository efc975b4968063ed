"""Reconciling against an API server of dictionaries."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seldon_controller import reconcile
from seldon_controller.reconcile import RefusedError
from tests.unit.seldon_controller.manifests import IMAGES, canary, prepackaged


@dataclass
class Store:
    """Keeps objects; Deployments stand still until a test rolls them out."""

    body: dict[str, Any]
    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    writes: int = 0
    refuses: str = ""
    goes: tuple[str, str] | None = None

    def read(self, namespace: str, name: str) -> dict[str, Any] | None:
        return copy.deepcopy(self.body)

    def children(self, kind: str, namespace: str, name: str) -> list[dict[str, Any]]:
        return [copy.deepcopy(o) for (k, _), o in self.objects.items() if k == kind]

    def apply(self, manifest: Mapping[str, Any]) -> None:
        key = manifest["kind"], manifest["metadata"]["name"]
        if manifest["kind"] == self.refuses:
            raise RefusedError(f"{' '.join(key)}: exceeded quota")
        old = self.objects.get(key, {})
        kept = {"status": old["status"]} if "status" in old else {}
        self.objects[key] = {**copy.deepcopy(dict(manifest)), **kept}
        if key == self.goes:
            self.objects[key]["metadata"]["deletionTimestamp"] = "now"

    def delete(self, kind: str, namespace: str, name: str) -> None:
        del self.objects[kind, name]

    def write_status(self, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        self.writes += 1
        self.body["status"] = dict(status)

    def roll_out(self) -> None:
        for (kind, _), deployment in self.objects.items():
            if kind == "Deployment":
                count = deployment["spec"]["replicas"]
                deployment["status"] = dict.fromkeys(
                    ("replicas", "updatedReplicas", "availableReplicas"), count
                ) | {"observedGeneration": 1}

    def fail(self, deployment: str, **ended: Any) -> None:
        container = {"name": "classifier-model-initializer", "state": {"terminated": ended}}
        self.objects["Pod", "pod"] = {
            "metadata": {"labels": {"app": deployment}},
            "status": {"initContainerStatuses": [container]},
        }

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.body["status"]
        return status

    def named(self, kind: str) -> set[str]:
        return {name for k, name in self.objects if k == kind}

    def condition(self, kind: str) -> dict[str, Any]:
        (found,) = [c for c in self.status["conditions"] if c["type"] == kind]
        condition: dict[str, Any] = found
        return condition


def _reconcile(store: Store) -> None:
    reconcile.reconcile(store, store.body, IMAGES)


def test_a_new_deployment_is_creating_then_available() -> None:
    store = Store(prepackaged())
    _reconcile(store)
    assert store.status["state"] == "Creating"
    assert store.condition("Ready")["status"] == "False"
    store.roll_out()
    _reconcile(store)
    assert store.status["state"] == "Available"
    assert store.status["replicas"] == 1
    assert store.status["deploymentStatus"] == {
        "iris-default-0-classifier": {"replicas": 1, "availableReplicas": 1}
    }
    assert set(store.status["serviceStatus"]) == {"iris-default", "iris-default-classifier"}
    assert store.status["address"]["url"].endswith("/api/v1.0/predictions")
    assert store.condition("Ready")["status"] == "True"


def test_objects_belong_to_the_deployment() -> None:
    store = Store(prepackaged())
    _reconcile(store)
    for child in store.objects.values():
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("SeldonDeployment", "u-1")


def test_a_look_without_news_writes_nothing() -> None:
    store = Store(prepackaged())
    _reconcile(store)
    writes = store.writes
    _reconcile(store)
    assert store.writes == writes


def test_a_model_that_cannot_be_fetched_is_the_reason() -> None:
    store = Store(prepackaged())
    _reconcile(store)
    store.fail("iris-default-0-classifier", exitCode=1, message="trace\nno such bucket\n")
    _reconcile(store)
    assert store.status["state"] == "Failed"
    ready = store.condition("Ready")
    assert ready["reason"] == "PodsFail"
    assert ready["message"] == (
        "iris-default-0-classifier, container classifier-model-initializer: no such bucket"
    )
    assert store.status["description"] == ready["message"]
    store.roll_out()
    _reconcile(store)
    assert store.status["state"] == "Available"
    assert "description" not in store.status


def test_a_removed_predictor_serves_until_the_others_are_ready() -> None:
    store = Store(canary())
    _reconcile(store)
    store.roll_out()
    _reconcile(store)
    store.body["spec"]["predictors"] = [
        {**store.body["spec"]["predictors"][0], "name": "next", "traffic": 100}
    ]
    _reconcile(store)
    assert "income-main-0-model" in store.named("Deployment")
    assert "income-main" in store.named("Service")
    store.roll_out()
    _reconcile(store)
    assert store.named("Deployment") == {"income-next-0-model"}
    assert store.named("Service") == {"income-next", "income-next-model"}


def test_a_foreign_object_with_the_label_stays() -> None:
    store = Store(prepackaged())
    _reconcile(store)
    store.objects["Service", "foreign"] = {"metadata": {"name": "foreign"}}
    store.roll_out()
    _reconcile(store)
    assert "foreign" in store.named("Service")


def test_a_manifest_that_is_not_honoured_says_why_and_the_old_one_serves() -> None:
    store = Store(canary())
    _reconcile(store)
    store.roll_out()
    _reconcile(store)
    before = set(store.objects)
    store.body["spec"]["predictors"][0]["shadow"] = True
    _reconcile(store)
    assert set(store.objects) == before
    assert store.status["state"] == "Failed"
    assert store.condition("Ready")["reason"] == "NotSupported"
    assert "predictors[0].shadow: not supported" in store.status["description"]
    assert store.status["serviceStatus"]


def test_what_is_deleted_or_changed_below_it_is_made_again() -> None:
    store = Store(canary())
    _reconcile(store)
    store.roll_out()
    _reconcile(store)
    assert store.status["state"] == "Available"
    wanted = set(store.objects)
    for key in wanted:
        del store.objects[key]
        _reconcile(store)
        assert set(store.objects) == wanted
    store.objects["Service", "income-main"]["spec"]["selector"] = {"nobody": "here"}
    _reconcile(store)
    assert "nobody" not in store.objects["Service", "income-main"]["spec"]["selector"]


def test_a_deployment_that_was_made_again_is_not_available_before_it_serves() -> None:
    store = Store(prepackaged())
    _reconcile(store)
    store.roll_out()
    _reconcile(store)
    del store.objects["Deployment", "iris-default-0-classifier"]
    _reconcile(store)
    assert store.status["state"] == "Creating"
    assert store.condition("Ready")["status"] == "False"


def test_a_service_that_goes_is_not_called_there() -> None:
    store = Store(prepackaged())
    _reconcile(store)
    store.roll_out()
    store.goes = ("Service", "iris-default")
    _reconcile(store)
    assert store.status["state"] == "Creating"
    assert store.condition("ServicesReady")["status"] == "False"
    assert store.condition("DeploymentsReady")["status"] == "True"
    assert store.condition("Ready")["message"] == "there is no Service iris-default"


def test_what_the_api_server_refuses_is_the_reason_and_is_tried_again() -> None:
    store = Store(prepackaged(), refuses="Deployment")
    _reconcile(store)
    assert store.status["state"] == "Failed"
    assert store.status["description"] == "Deployment iris-default-0-classifier: exceeded quota"
    store.refuses = ""
    _reconcile(store)
    assert store.status["state"] == "Creating"


def test_one_that_is_being_deleted_gets_nothing() -> None:
    store = Store(prepackaged())
    store.body["metadata"]["deletionTimestamp"] = "now"
    _reconcile(store)
    assert not store.objects
    assert not store.writes
