import math
from typing import Any

import pytest

from mlops_kubernetes.annotations import AnnotationError, propagation, timeout_seconds, wait_for
from mlops_kubernetes.awaiting import judge_of
from mlops_kubernetes.awaiting.custom import WaitForError, judge_expressions
from mlops_kubernetes.awaiting.jsonpath import JsonPathError, search


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


async def verdict(value: dict[str, Any], **objects: Any) -> tuple[bool, bool, str]:
    judge = judge_of(value)
    assert judge is not None
    found = await judge(value, Shelf(**objects))
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


async def test_a_service_needs_a_ready_endpoint() -> None:
    service = thing("v1", "Service", spec={"selector": {"a": "b"}})
    unready = [{"endpoints": [{"conditions": {"ready": False}}]}]
    assert not (await verdict(service, endpointslices=unready))[0]
    assert (await verdict(service, endpointslices=[{"endpoints": [{}]}]))[0]


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
