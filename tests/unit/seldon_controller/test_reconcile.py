"""Reconciling against an API server of dictionaries."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from seldon_controller import reconcile
from seldon_controller.manifest import ManifestError
from tests.unit.seldon_controller.manifests import IMAGES, canary, prepackaged


@dataclass
class Store:
    """Keeps objects; Deployments stand still until a test rolls them out."""

    body: dict[str, Any]
    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    writes: int = 0

    def read(self, namespace: str, name: str) -> dict[str, Any] | None:
        return copy.deepcopy(self.body)

    def children(self, kind: str, namespace: str, name: str) -> list[dict[str, Any]]:
        return [copy.deepcopy(o) for (k, _), o in self.objects.items() if k == kind]

    def apply(self, manifest: Mapping[str, Any]) -> None:
        self.objects[manifest["kind"], manifest["metadata"]["name"]] = {**manifest}

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

    def names(self, kind: str) -> set[str]:
        return {name for k, name in self.objects if k == kind}

    def condition(self, kind: str) -> dict[str, Any]:
        (found,) = [c for c in self.status["conditions"] if c["type"] == kind]
        condition: dict[str, Any] = found
        return condition


def _reconcile(store: Store) -> None:
    reconcile.reconcile(store, store.body, IMAGES)


def _report(store: Store) -> None:
    metadata = store.body["metadata"]
    reconcile.report(store, metadata["namespace"], metadata["name"], IMAGES)


def test_a_new_deployment_is_creating_then_available() -> None:
    store = Store(prepackaged())
    _reconcile(store)
    assert store.status["state"] == "Creating"
    assert store.condition("Ready")["status"] == "False"
    store.roll_out()
    _report(store)
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


def test_a_report_without_news_writes_nothing() -> None:
    store = Store(prepackaged())
    _reconcile(store)
    writes = store.writes
    _report(store)
    assert store.writes == writes


def test_a_model_that_cannot_be_fetched_is_the_reason() -> None:
    store = Store(prepackaged())
    _reconcile(store)
    store.fail("iris-default-0-classifier", exitCode=1, message="trace\nno such bucket\n")
    _report(store)
    assert store.status["state"] == "Failed"
    ready = store.condition("Ready")
    assert ready["reason"] == "PodsFail"
    assert ready["message"] == (
        "iris-default-0-classifier, container classifier-model-initializer: no such bucket"
    )
    assert store.status["description"] == ready["message"]
    store.roll_out()
    _report(store)
    assert store.status["state"] == "Available"
    assert "description" not in store.status


def test_a_removed_predictor_serves_until_the_others_are_ready() -> None:
    store = Store(canary())
    _reconcile(store)
    store.roll_out()
    _report(store)
    store.body["spec"]["predictors"] = [
        {**store.body["spec"]["predictors"][0], "name": "next", "traffic": 100}
    ]
    _reconcile(store)
    assert "income-main-0-model" in store.names("Deployment")
    assert "income-main" in store.names("Service")
    store.roll_out()
    _report(store)
    assert store.names("Deployment") == {"income-next-0-model"}
    assert store.names("Service") == {"income-next", "income-next-model"}


def test_a_foreign_object_with_the_label_stays() -> None:
    store = Store(prepackaged())
    _reconcile(store)
    store.objects["Service", "foreign"] = {"metadata": {"name": "foreign"}}
    store.roll_out()
    _report(store)
    assert "foreign" in store.names("Service")


def test_a_manifest_that_is_not_honoured_says_why_and_the_old_one_serves() -> None:
    store = Store(canary())
    _reconcile(store)
    store.roll_out()
    _report(store)
    before = set(store.objects)
    store.body["spec"]["predictors"][0]["shadow"] = True
    with pytest.raises(ManifestError):
        _reconcile(store)
    assert set(store.objects) == before
    assert store.status["state"] == "Failed"
    assert store.condition("Ready")["reason"] == "NotSupported"
    assert "predictors[0].shadow: not supported" in store.status["description"]
    assert store.status["serviceStatus"]
