"""A TFJob or a PyTorchJob that trains the flight-delay network on two workers."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from flight_training.settings import Settings
from mlops_infra.pod_security import manifest_container_context, manifest_pod_context

ENVIRONMENT: Final = "training-environment"
"""Secret in the jobs' namespace with the addresses and keys of S3 and MLflow."""

# A job that hangs must not hold the node for ever.
MOST_SECONDS: Final = 1800
_KEPT_SECONDS: Final = 3600


@dataclass(frozen=True, kw_only=True)
class Framework:
    """How the training operator calls a framework's jobs.

    Attributes:
        kind: the job's.
        replicas: the field of its replicas.
        container: the name that its container must have.
        first: the replica that tracks the model.
    """

    kind: str
    replicas: str
    container: str
    first: str


FRAMEWORKS: Final[Mapping[str, Framework]] = {
    "pytorch": Framework(
        kind="PyTorchJob", replicas="pytorchReplicaSpecs", container="pytorch", first="Master"
    ),
    "tensorflow": Framework(
        kind="TFJob", replicas="tfReplicaSpecs", container="tensorflow", first="Chief"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a job trains.

    Attributes:
        framework: a key of `FRAMEWORKS`.
        image: image with that framework.
        data: `s3://bucket/prefix` of the flights.
        training_months: as 3 or 1-3.
        evaluation_month: 1 to 12.
        model_name: registered model of the new version.
        settings: the network's hyperparameters.
    """

    framework: str
    image: str
    data: str
    training_months: str
    evaluation_month: int
    model_name: str
    settings: Settings


def manifest(name: str, training: Training) -> dict[str, Any]:
    """Return the job, as in YAML.

    Args:
        name: of the job.
        training: what it trains.
    """
    framework = FRAMEWORKS[training.framework]
    replica = {"replicas": 1, "restartPolicy": "Never", "template": _template(name, training)}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": framework.kind,
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "mlops-platform"}},
        "spec": {
            "runPolicy": {
                "activeDeadlineSeconds": MOST_SECONDS,
                "backoffLimit": 0,
                "cleanPodPolicy": "Running",
                "ttlSecondsAfterFinished": _KEPT_SECONDS,
            },
            framework.replicas: {framework.first: replica, "Worker": replica},
        },
    }


def _template(name: str, training: Training) -> dict[str, Any]:
    command = {
        "--framework": training.framework,
        "--data": training.data,
        "--training-months": training.training_months,
        "--evaluation-month": str(training.evaluation_month),
        "--model-name": training.model_name,
        "--job": name,
        "--settings": json.dumps(asdict(training.settings)),
    }
    return {
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": manifest_pod_context(),
            "containers": [
                {
                    "name": FRAMEWORKS[training.framework].container,
                    "image": training.image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python3", "-m", "flight_training"],
                    "args": [word for pair in command.items() for word in pair],
                    "envFrom": [{"secretRef": {"name": ENVIRONMENT}}],
                    "securityContext": manifest_container_context(),
                    "resources": {
                        "requests": {"cpu": "250m", "memory": "512Mi"},
                        "limits": {"memory": "2Gi"},
                    },
                    "volumeMounts": [
                        {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - an emptyDir
                    ],
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        }
    }
