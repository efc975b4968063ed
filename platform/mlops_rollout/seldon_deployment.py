"""The SeldonDeployment of one registered version of a model."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mlops_rollout.engine import Answer, Get, ModelServer, State, Version

API_VERSION: Final = "machinelearning.seldon.io/v1"
KIND: Final = "SeldonDeployment"
PREDICTOR: Final = "default"
SERVICE_PORT: Final = 9000
_CONTAINER = "model"
# For any classifier of scikit-learn.
_RUNTIME_CLASS: Final = "mlops_serving.seldon_model.Classifier"


def manifest(server: ModelServer, version: Version) -> dict[str, Any]:
    """Return the SeldonDeployment; both the official operator and the small controller read it."""
    variables = {
        "REGISTERED_MODEL": server.model,
        "PREDICTION_LOG_BUCKET": server.log_bucket,
        "PREDICTION_LOG_RATE": f"{server.log_rate:g}",
        # Everyone asks by HTTP, and a gRPC server is two more processes.
        "GRPC_WORKERS": "0",
        # As Seldon's builder images name what they serve.
        "MODEL_NAME": server.runtime_class or _RUNTIME_CLASS,
    }
    container = {
        "name": _CONTAINER,
        "image": server.server,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "envFrom": [{"secretRef": {"name": server.credentials}}],
        "readinessProbe": {
            "httpGet": {"path": "/health/ping", "port": "http"},
            "periodSeconds": 1,
            "timeoutSeconds": 2,
        },
        # One that hangs is started again; one that is busy with a large batch answers late.
        "livenessProbe": {
            "httpGet": {"path": "/health/ping", "port": "http"},
            "initialDelaySeconds": 60,
            "periodSeconds": 10,
            "timeoutSeconds": 10,
            "failureThreshold": 6,
        },
        "resources": {
            "requests": {"cpu": "100m", "memory": "200Mi"},
            "limits": {"memory": "512Mi"},
        },
    }
    graph = {
        "name": _CONTAINER,
        "type": "MODEL",
        "modelUri": version.address(server.artifacts),
        "envSecretRefName": server.credentials,
        "parameters": [{"name": "model_version", "type": "STRING", "value": version.number}],
    }
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"namespace": server.namespace},
        "spec": {
            "predictors": [
                {
                    "name": PREDICTOR,
                    "replicas": 1,
                    "traffic": 100,
                    "annotations": {"seldon.io/no-engine": "true"},
                    "labels": {"version": f"v{version.number}"},
                    "graph": graph,
                    "componentSpecs": [{"spec": {"containers": [container]}}],
                }
            ]
        },
    }


def service(name: str) -> str:
    """Return the name of the Service of a SeldonDeployment's servers."""
    return f"{name}-{PREDICTOR}"


def host(name: str, namespace: str) -> str:
    """Return the address of a SeldonDeployment's servers for Pods."""
    return f"{service(name)}.{namespace}.svc.cluster.local:{SERVICE_PORT}"


def state(name: str, get: Get) -> State:
    """Return how far Seldon is with a SeldonDeployment."""
    found = get(f"seldondeployment/{name}")
    if not found:
        return State(ready=False, failed=True, final=True, detail="the SeldonDeployment is gone")
    (body,) = found
    status = body.get("status") or {}
    # The official operator keeps no generation.
    seen = status.get("observedGeneration", body["metadata"]["generation"])
    if seen != body["metadata"]["generation"]:
        return State(ready=False)
    phase = status.get("state", "")
    return State(
        ready=phase == "Available",
        failed=phase == "Failed",
        final=any(c.get("reason") == "NotSupported" for c in status.get("conditions", [])),
        detail=status.get("description") or phase,
    )


def request(_name: str, rows: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Return a request of Seldon's protocol, which names no model."""
    return "api/v1.0/predictions", {"jsonData": list(rows)}


def answer(body: Mapping[str, Any]) -> Answer:
    """Return what an answer of Seldon's protocol says."""
    return Answer(
        version=str(body.get("meta", {}).get("tags", {}).get("model_version")),
        probabilities=[row[0] for row in body.get("data", {}).get("ndarray", [])],
    )
