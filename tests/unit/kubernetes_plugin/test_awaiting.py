import math
from typing import Any

import pytest

from mlops_kubernetes.annotations import AnnotationError, propagation, timeout_seconds, wait_for
from mlops_kubernetes.awaiting import judge_of
from mlops_kubernetes.awaiting.custom import WaitForError, judge_expressions
from mlops_kubernetes.awaiting.jsonpath import JsonPathError, search
from mlops_kubernetes.awaiting.verdict import Verdict


class Shelf:
    """The other objects of a cluster, as an awaiter looks at them."""

    def __init__(self, *, before: Any = None, seconds: float = math.inf, **objects: Any) -> None:
        self.objects = objects
        self.before: dict[str, Any] = before or {}
        self.seconds = seconds

    async def get(self, path: str) -> dict[str, Any] | None:
        found = self.objects.get(path.rpartition("/")[2])
        return found if isinstance(found, dict) else None

    async def list(self, path: str, *, labels: str = "") -> list[dict[str, Any]]:
        found = self.objects.get(path.rpartition("/")[2])
        return found if isinstance(found, list) else []


async def judged(value: dict[str, Any], **around: Any) -> Verdict:
    judge = judge_of(value)
    assert judge is not None
    return await judge(value, Shelf(**around))


async def verdict(value: dict[str, Any], **objects: Any) -> tuple[bool, bool, str]:
    found = await judged(value, **objects)
    return found.ready, found.failed, found.message


def thing(api: str, kind: str, **rest: Any) -> dict[str, Any]:
    metadata = {"name": "it", "namespace": "here", "generation": 2}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}


DEPLOYED = {
    "observedGeneration": 2,
    "replicas": 3,
    "updatedReplicas": 3,
    "availableReplicas": 3,
    "readyReplicas": 3,
}
TOO_LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}


@pytest.mark.parametrize(
    ("change", "ready", "message"),
    [
        ({}, True, ""),
        ({"observedGeneration": 1}, False, "has not seen"),
        ({"updatedReplicas": 1}, False, "1 of 3 replicas updated"),
        ({"replicas": 5}, False, "2 old replicas"),
        ({"availableReplicas": 2}, False, "2 of 3 replicas available"),
        ({"conditions": [TOO_LATE]}, False, "deadline"),
    ],
)
async def test_deployments(change: dict[str, Any], ready: bool, message: str) -> None:
    value = thing("apps/v1", "Deployment", spec={"replicas": 3}, status={**DEPLOYED, **change})
    found = await verdict(value)
    assert found[0] is ready
    assert message in found[2]
    assert found[1] is ("conditions" in change)


@pytest.mark.parametrize(
    ("spec", "status", "ready"),
    [
        ({}, {"updateRevision": "b", "currentRevision": "b"}, True),
        ({}, {"updateRevision": "b", "currentRevision": "a"}, False),
        ({"updateStrategy": {"type": "OnDelete"}}, {"updateRevision": "b"}, True),
        (
            {"updateStrategy": {"rollingUpdate": {"partition": 2}}},
            {"updateRevision": "b", "currentRevision": "a", "updatedReplicas": 1},
            True,
        ),
        ({}, {"readyReplicas": 1}, False),
    ],
)
async def test_stateful_sets(spec: dict[str, Any], status: dict[str, Any], ready: bool) -> None:
    whole = {"observedGeneration": 2, "readyReplicas": 3, **status}
    value = thing("apps/v1", "StatefulSet", spec={"replicas": 3, **spec}, status=whole)
    assert (await verdict(value))[0] is ready


async def test_a_suspended_job_is_ready_and_a_failed_one_never_will_be() -> None:
    assert (await verdict(thing("batch/v1", "Job", spec={"suspend": True})))[0]
    condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    failed = thing("batch/v1", "Job", spec={}, status={"conditions": [condition]})
    assert (await verdict(failed))[1]


async def test_a_claim_waits_for_its_class_unless_a_consumer_comes_first() -> None:
    def claim(**spec: Any) -> dict[str, Any]:
        return thing("v1", "PersistentVolumeClaim", spec=spec, status={"phase": "Pending"})

    late = {"metadata": {"name": "late"}, "volumeBindingMode": "WaitForFirstConsumer"}
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    marked = {**late, "metadata": {"name": "late", "annotations": default}}
    assert (await verdict(claim(storageClassName="late"), late=late))[0]
    assert (await verdict(claim(), storageclasses=[marked]))[0]
    assert "no default StorageClass" in (await verdict(claim()))[2]
    assert "names no StorageClass" in (await verdict(claim(storageClassName="")))[2]
    prompt = {"metadata": {"name": "prompt"}, "volumeBindingMode": "Immediate"}
    assert not (await verdict(claim(storageClassName="prompt"), prompt=prompt))[0]


SERVICE = {"selector": {"a": "b"}}
INGRESS = {"defaultBackend": {"service": {"name": "web"}}}
PENDING = {"phase": "Pending"}


@pytest.mark.parametrize(
    ("around", "ready"),
    [
        ({"endpointslices": [{"endpoints": [{}]}]}, True),
        ({"pods": [{"status": {"phase": "Running"}}]}, False),
        ({"pods": [{}], "seconds": 500.0}, False),
        # Scaled to zero, or its Pods wait for this very Service; or only ended ones are left.
        ({}, True),
        ({"seconds": 6.0}, True),
        ({"pods": [{"status": {"phase": "Succeeded"}}]}, True),
        # Its Pods may come in a moment.
        ({"seconds": 1.0}, False),
    ],
)
async def test_a_service_waits_for_the_pods_that_there_are(
    around: dict[str, Any], ready: bool
) -> None:
    unready = {"endpointslices": [{"endpoints": [{"conditions": {"ready": False}}]}]}
    found = await judged(thing("v1", "Service", spec=SERVICE), **{**unready, **around})
    assert (found.ready, found.failed, found.warning) == (ready, False, "")


@pytest.mark.parametrize(
    ("value", "around", "warning", "after"),
    [
        (thing("networking.k8s.io/v1", "Ingress", spec=INGRESS), {}, "has no IngressClass", 0),
        (
            thing("networking.k8s.io/v1", "Ingress", spec={**INGRESS, "ingressClassName": "x"}),
            {"ingressclasses": [{}]},
            "no IngressClass 'x'",
            0,
        ),
        (
            thing("networking.k8s.io/v1", "Ingress", spec=INGRESS),
            {"ingressclasses": [{}]},
            "install one that runs",
            15,
        ),
        (
            thing("v1", "Service", spec={**SERVICE, "type": "LoadBalancer"}),
            {},
            "does the cluster provide load balancers",
            15,
        ),
        (thing("v1", "PersistentVolumeClaim", spec={}, status=PENDING), {}, "create it", 0),
        (
            thing("v1", "PersistentVolumeClaim", spec={"storageClassName": "x"}, status=PENDING),
            {},
            "create it",
            0,
        ),
        (
            thing("v1", "PersistentVolumeClaim", spec={"storageClassName": "x"}, status=PENDING),
            {"x": {"metadata": {"name": "x"}, "provisioner": "y"}},
            "is its provisioner 'y' running",
            15,
        ),
    ],
)
async def test_what_nobody_provides_is_said_early(
    value: dict[str, Any], around: dict[str, Any], warning: str, after: float
) -> None:
    web = {"metadata": {"name": "web"}}
    found = await judged(value, web=web, **around)
    assert not found.ready and not found.failed
    assert warning in found.warning
    assert found.warn_after == after


async def test_a_custom_object_without_a_controller_is_said_early() -> None:
    wait = {"pulumi.com/waitFor": "condition=Ready"}
    value = thing("x.invalid/v1", "Widget")
    value["metadata"]["annotations"] = wait
    found = await judged(value)
    assert "does a controller of Widget run?" in found.warning
    assert found.warn_after == 15


async def test_a_rollout_that_was_late_before_the_update_may_recover() -> None:
    late = thing("apps/v1", "Deployment", spec={"replicas": 3})
    late["status"] = {**DEPLOYED, "availableReplicas": 0, "conditions": [TOO_LATE]}
    found = await judged(late, before=late)
    assert (found.ready, found.failed) == (False, False)
    recovered = {**late, "status": {**DEPLOYED, "conditions": [TOO_LATE]}}
    assert (await judged(recovered, before=late)).ready

    again = {**TOO_LATE, "lastUpdateTime": "2026-01-01T00:00:00Z"}
    late_again = {**late, "status": {**late["status"], "conditions": [again]}}
    assert (await judged(late_again, before=late)).failed


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("PersistentVolumeClaim", {"phase": "Lost"}),
        ("PersistentVolume", {"phase": "Failed"}),
        (
            "CustomResourceDefinition",
            {"conditions": [{"type": "NamesAccepted", "status": "False"}]},
        ),
    ],
)
async def test_an_old_failure_that_may_mend_is_waited_for(
    kind: str, status: dict[str, Any]
) -> None:
    api = "apiextensions.k8s.io/v1" if kind == "CustomResourceDefinition" else "v1"
    value = thing(api, kind, status=status)
    assert (await judged(value)).failed
    assert not (await judged(value, before=value)).failed


@pytest.mark.parametrize(
    ("api", "kind", "status"),
    [
        ("batch/v1", "Job", {"conditions": [{"type": "Failed", "status": "True"}]}),
        ("v1", "Pod", {"phase": "Failed"}),
    ],
)
async def test_an_old_failure_that_stays_names_the_remedy(
    api: str, kind: str, status: dict[str, Any]
) -> None:
    value = thing(api, kind, status=status)
    assert "--replace" not in (await judged(value)).message
    found = await judged(value, before=value)
    assert found.failed
    assert "before this update" in found.message
    assert "--replace" in found.message


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ({}, True),
        ({"observedGeneration": 2}, True),
        ({"observedGeneration": 1}, False),
    ],
)
async def test_a_condition_of_an_older_spec_says_nothing(
    status: dict[str, Any], ready: bool
) -> None:
    ok = {"type": "Ready", "status": "True"}
    judge = judge_expressions(["condition=Ready"])
    of_status = thing("x/v1", "Widget", status={**status, "conditions": [ok]})
    of_condition = thing("x/v1", "Widget", status={"conditions": [{**ok, **status}]})
    assert (await judge(of_status, Shelf())).ready is ready
    assert (await judge(of_condition, Shelf())).ready is ready


def test_nothing_is_waited_for_where_there_is_nothing_to_wait_for() -> None:
    assert judge_of(thing("v1", "ConfigMap")) is None
    skipped = thing("apps/v1", "Deployment")
    skipped["metadata"]["annotations"] = {"pulumi.com/skipAwait": "true"}
    assert judge_of(skipped) is None


STATUS = {
    "status": {
        "phase": "Running",
        "ok": True,
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}],
        "a.b": [1, 2],
    }
}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("{.status.phase}", ["Running"]),
        (".status.phase", ["Running"]),
        ("{.status.conditions[*].type}", ["Ready", "Other"]),
        ('{.status.conditions[?(@.type=="Ready")].status}', ["True"]),
        ("{.status.conditions[0].status}", ["True"]),
        ("{.status['a.b'][-1]}", [2]),
        ("{.status.missing}", []),
    ],
)
def test_json_paths(expression: str, found: list[Any]) -> None:
    assert search(expression, STATUS) == found


def test_an_unreadable_json_path_is_refused() -> None:
    with pytest.raises(JsonPathError, match="members"):
        search("{.a[1:2]}", {})


@pytest.mark.parametrize(
    ("expressions", "ready"),
    [
        (["condition=Ready"], True),
        (["condition=Other"], False),
        (["condition=other=False"], True),
        (["jsonpath={.status.phase}=Running", "condition=Ready"], True),
        (["jsonpath={.status.phase}=Pending"], False),
        (["jsonpath={.status.ok}=true"], True),
        (["jsonpath={.status.missing}"], False),
        (['jsonpath={.status.conditions[?(@.type=="Ready")].status}=True'], True),
    ],
)
async def test_expressions_to_wait_for(expressions: list[str], ready: bool) -> None:
    assert (await judge_expressions(expressions)(STATUS, Shelf())).ready is ready


@pytest.mark.parametrize(
    "expression", ["Ready", "condition=", "jsonpath={.a[1:2]}", "jsonpath={.a"]
)
def test_other_expressions_are_refused(expression: str) -> None:
    with pytest.raises(WaitForError, match="waitFor"):
        judge_expressions([expression])


def annotated(name: str, value: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {f"pulumi.com/{name}": value}}}


def test_annotations_are_read_strictly() -> None:
    assert wait_for(annotated("waitFor", '["a", "b"]')) == ["a", "b"]
    assert propagation(annotated("deletionPropagationPolicy", "orphan")).value == "Orphan"
    assert timeout_seconds(annotated("timeoutSeconds", "90")) == 90
    for read, name, value in (
        (wait_for, "waitFor", "[1]"),
        (wait_for, "waitFor", "[x"),
        (propagation, "deletionPropagationPolicy", "sideways"),
        (timeout_seconds, "timeoutSeconds", "-1"),
    ):
        with pytest.raises(AnnotationError, match=name):
            read(annotated(name, value))
