"""Waiting until an object does what it was made for."""

from typing import Any, Final

from mlops_kubernetes import annotations, kinds
from mlops_kubernetes.awaiting.custom import judge_expressions
from mlops_kubernetes.awaiting.daemon_set import judge_daemon_set
from mlops_kubernetes.awaiting.definition import judge_definition, judge_namespace
from mlops_kubernetes.awaiting.deployment import judge_deployment, judge_replica_set
from mlops_kubernetes.awaiting.job import judge_job
from mlops_kubernetes.awaiting.pod import judge_pod
from mlops_kubernetes.awaiting.service import judge_ingress, judge_service
from mlops_kubernetes.awaiting.stateful_set import judge_stateful_set
from mlops_kubernetes.awaiting.verdict import Judge
from mlops_kubernetes.awaiting.volume import judge_claim, judge_volume

_JUDGES: Final[dict[tuple[str, str], Judge]] = {
    ("", "Namespace"): judge_namespace,
    ("", "PersistentVolume"): judge_volume,
    ("", "PersistentVolumeClaim"): judge_claim,
    ("", "Pod"): judge_pod,
    ("", "ReplicationController"): judge_replica_set,
    ("", "Service"): judge_service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): judge_definition,
    ("apps", "DaemonSet"): judge_daemon_set,
    ("apps", "Deployment"): judge_deployment,
    ("apps", "ReplicaSet"): judge_replica_set,
    ("apps", "StatefulSet"): judge_stateful_set,
    ("batch", "Job"): judge_job,
    ("networking.k8s.io", "Ingress"): judge_ingress,
}


def judge_of(inputs: dict[str, Any]) -> Judge | None:
    """Return how to tell that an object is ready; None where there is nothing to wait for.

    Raises:
        AnnotationError: an annotation cannot be read.
        WaitForError: the `waitFor` annotation cannot be read.
    """
    if annotations.skip_await(inputs):
        return None
    if expressions := annotations.wait_for(inputs):
        return judge_expressions(expressions)
    kind = kinds.of_object(inputs)
    return _JUDGES.get((kind.group, kind.kind))
