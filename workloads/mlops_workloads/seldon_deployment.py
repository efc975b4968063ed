"""The SeldonDeployment of one registered version of the flight-delay model."""

from dataclasses import dataclass
from typing import Any, Final

PREDICTOR: Final = "default"
PORT: Final = 9000
_CONTAINER = "model"


@dataclass(frozen=True, kw_only=True)
class SeldonModel:
    """What is served.

    Attributes:
        name: the SeldonDeployment's name.
        namespace: where it is.
        image: the model server.
        model: registered model.
        version: its version.
        uri: S3 address of what MLflow logged.
        secret: Secret with S3's endpoint, region and keys as the SDK's variables.
        log_bucket: bucket of the prediction log; empty for none.
        log_rate: share of the predictions that it keeps, 0 to 1.
    """

    name: str
    namespace: str
    image: str
    model: str
    version: str
    uri: str
    secret: str
    log_bucket: str
    log_rate: float


def manifest(served: SeldonModel) -> dict[str, Any]:
    """Return the SeldonDeployment; both the official operator and the small controller read it."""
    variables = {
        "REGISTERED_MODEL": served.model,
        "PREDICTION_LOG_BUCKET": served.log_bucket,
        "PREDICTION_LOG_RATE": f"{served.log_rate:g}",
        # Everyone asks by HTTP, and a gRPC server is two more processes.
        "GRPC_WORKERS": "0",
    }
    container = {
        "name": _CONTAINER,
        "image": served.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "envFrom": [{"secretRef": {"name": served.secret}}],
        "readinessProbe": {
            "httpGet": {"path": "/health/ping", "port": "http"},
            "periodSeconds": 1,
            "timeoutSeconds": 2,
        },
        "resources": {
            "requests": {"cpu": "100m", "memory": "200Mi"},
            "limits": {"memory": "512Mi"},
        },
    }
    graph = {
        "name": _CONTAINER,
        "type": "MODEL",
        "modelUri": served.uri,
        "envSecretRefName": served.secret,
        "parameters": [{"name": "model_version", "type": "STRING", "value": served.version}],
    }
    return {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {"name": served.name, "namespace": served.namespace},
        "spec": {
            "predictors": [
                {
                    "name": PREDICTOR,
                    "replicas": 1,
                    "traffic": 100,
                    "annotations": {"seldon.io/no-engine": "true"},
                    "labels": {"version": f"v{served.version}"},
                    "graph": graph,
                    "componentSpecs": [{"spec": {"containers": [container]}}],
                }
            ]
        },
    }


def host(name: str, namespace: str) -> str:
    """Return the address of a SeldonDeployment's server for Pods."""
    return f"{name}-{PREDICTOR}.{namespace}.svc.cluster.local:{PORT}"
