"""The InferenceService of one registered version of the flight-delay model, on KServe."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mlops_workloads.serving_engine import Answer, ServedModel, State

API_VERSION: Final = "serving.kserve.io/v1beta1"
KIND: Final = "InferenceService"
SERVICE_PORT: Final = 80
# In requests; callers need not know which version answers.
_MODEL: Final = "flight-delay"
_RUNTIME_CLASS: Final = "flight_serving.mlserver_runtime.FlightDelayRuntime"
_DIGEST: Final = "mlops-platform/manifest"
# Words of status.modelStatus that nothing but another manifest changes.
_FINAL: Final = frozenset(
    {"InvalidPredictorSpec", "NoSupportingRuntime", "RuntimeDisabled", "RuntimeNotRecognized"}
)


def manifest(served: ServedModel) -> dict[str, Any]:
    """Return the InferenceService."""
    variables = {
        "REGISTERED_MODEL": served.model,
        "MODEL_VERSION": served.version,
        "PREDICTION_LOG_BUCKET": served.log_bucket,
        "PREDICTION_LOG_RATE": f"{served.log_rate:g}",
        # KServe's defaults for MLServer: a class by the model's format, in a label that it writes
        # over, and the InferenceService's name.
        "MLSERVER_MODEL_IMPLEMENTATION": _RUNTIME_CLASS,
        "MLSERVER_MODEL_NAME": _MODEL,
        "MLSERVER_MODEL_URI": "/mnt/models",
    }
    model = {
        "modelFormat": {"name": "mlflow"},
        "protocolVersion": "v2",
        "runtime": served.server,
        "storageUri": served.uri,
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "envFrom": [{"secretRef": {"name": served.credentials}}],
        "readinessProbe": {
            "httpGet": {"path": f"/v2/models/{_MODEL}/ready", "port": 8080},
            "periodSeconds": 1,
            "timeoutSeconds": 2,
            "failureThreshold": 60,
        },
        # Clients learn late that a Pod ends: it takes requests until they have.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
        "resources": {
            "requests": {"cpu": "50m", "memory": "256Mi"},
            "limits": {"cpu": "2", "memory": "512Mi"},
        },
    }
    predictor = {
        "serviceAccountName": served.credentials,
        "automountServiceAccountToken": False,
        "minReplicas": 1,
        # A new server answers before the old one goes.
        "deploymentStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "model": model,
    }
    # KServe copies it to the Pods: by it they are told from those of the manifest before.
    digest = hashlib.sha256(json.dumps(predictor, sort_keys=True).encode()).hexdigest()[:16]
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": served.name,
            "namespace": served.namespace,
            "annotations": {
                # Without it KServe makes an autoscaler, which needs metrics that few clusters have.
                "serving.kserve.io/autoscalerClass": "none",
            },
            "labels": {"app.kubernetes.io/part-of": "mlops-platform"},
        },
        "spec": {"predictor": {**predictor, "annotations": {_DIGEST: digest}}},
    }


def secret_annotations(*, host: str, port: int, secure: bool, region: str) -> dict[str, str]:
    """Return what tells KServe's storage initializer where the S3 API of a Secret's keys is.

    Args:
        host: its name for Pods.
        port: its TCP port.
        secure: whether it speaks TLS.
        region: region that requests are signed for.
    """
    return {
        "serving.kserve.io/s3-endpoint": f"{host}:{port}",
        "serving.kserve.io/s3-usehttps": "1" if secure else "0",
        "serving.kserve.io/s3-verifyssl": "1" if secure else "0",
        "serving.kserve.io/s3-region": region,
    }


def service(name: str) -> str:
    """Return the name of the Service of an InferenceService's servers."""
    return f"{name}-predictor"


def host(name: str, namespace: str) -> str:
    """Return the address of an InferenceService's servers for Pods."""
    return f"{service(name)}.{namespace}.svc.cluster.local:{SERVICE_PORT}"


def objects(name: str) -> tuple[str, ...]:
    """Return the InferenceService and the Deployment that KServe makes of it."""
    return f"inferenceservice/{name}", f"deployment/{name}-predictor"


def state(found: Sequence[Mapping[str, Any]]) -> State:
    """Return how far KServe is.

    Its own Ready stays true while Pods of a changed manifest start, or fail to: the Deployment
    tells.

    Args:
        found: the InferenceService, and its Deployment once there is one.
    """
    body, *deployments = found
    status = body.get("status") or {}
    model = status.get("modelStatus") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or []}
    ready = conditions.get("Ready", {})
    digest = body["spec"]["predictor"].get("annotations", {}).get(_DIGEST)
    rolled_out = any(_rolled_out(deployment, digest) for deployment in deployments)
    if ready.get("status") == "True" and rolled_out:
        return State(ready=True)
    failure = model.get("lastFailureInfo") or {}
    reason, message = failure.get("reason", ""), failure.get("message", "").strip()
    failed = model.get("transitionStatus") in ("BlockedByFailedLoad", "InvalidSpec")
    if failed and failure:
        return State(
            ready=False,
            failed=True,
            final=reason in _FINAL,
            detail=f"{reason}: {_last_line(message)}" if message else reason,
        )
    waiting = [
        f"{kind}: {each.get('message') or each.get('reason')}"
        for kind, each in sorted(conditions.items())
        if each.get("status") == "False" and (each.get("message") or each.get("reason"))
    ]
    return State(ready=False, failed=failed, detail="; ".join(waiting))


def request(rows: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Return a request of the Open Inference Protocol: one tensor a field, one value a flight."""
    return f"v2/models/{_MODEL}/infer", {
        "inputs": [
            {
                "name": field,
                "shape": [len(rows), 1],
                "datatype": "BYTES" if isinstance(rows[0][field], str) else "FP64",
                "data": [row[field] for row in rows],
            }
            for field in rows[0]
        ]
    }


def answer(body: Mapping[str, Any]) -> Answer:
    """Return what an answer of the Open Inference Protocol says."""
    outputs = body.get("outputs") or [{}]
    return Answer(
        version=str(body.get("model_version")), probabilities=list(outputs[0].get("data", []))
    )


def _rolled_out(deployment: Mapping[str, Any], digest: str | None) -> bool:
    annotations = deployment["spec"]["template"]["metadata"].get("annotations", {})
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    seen: bool = status.get("observedGeneration") == deployment["metadata"]["generation"]
    counts = [status.get(key) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    return seen and annotations.get(_DIGEST) == digest and counts == [wanted] * 3


def _last_line(text: str) -> str:
    """Return the error at the end of a traceback."""
    return text.rpartition("\n")[2]
