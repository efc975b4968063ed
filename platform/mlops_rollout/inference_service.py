"""The InferenceService of one registered version of a model, on KServe."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from mlops_rollout.engine import Answer, Get, ModelServer, State, Version

API_VERSION: Final = "serving.kserve.io/v1beta1"
KIND: Final = "InferenceService"
SERVICE_PORT: Final = 80
# For any classifier of scikit-learn.
_RUNTIME_CLASS: Final = "mlops_serving.mlserver_runtime.ClassifierRuntime"
_DIGEST: Final = "mlops-platform/manifest"
_SELECTOR: Final = "serving.kserve.io/inferenceservice"
# Reasons in status.modelStatus that nothing but another manifest changes.
_FINAL: Final = frozenset(
    {"InvalidPredictorSpec", "NoSupportingRuntime", "RuntimeDisabled", "RuntimeNotRecognized"}
)


def manifest(server: ModelServer, version: Version) -> dict[str, Any]:
    """Return the InferenceService."""
    variables = {
        "REGISTERED_MODEL": server.model,
        "MODEL_VERSION": version.number,
        "PREDICTION_LOG_BUCKET": server.log_bucket,
        "PREDICTION_LOG_RATE": f"{server.log_rate:g}",
        # KServe's defaults for MLServer: a class by the model's format, in a label that it writes
        # over, and the InferenceService's name.
        "MLSERVER_MODEL_IMPLEMENTATION": server.runtime_class or _RUNTIME_CLASS,
        # In requests: callers need not know which version answers.
        "MLSERVER_MODEL_NAME": server.name,
        "MLSERVER_MODEL_URI": "/mnt/models",
    }
    ready = {"path": f"/v2/models/{server.name}/ready", "port": 8080}
    model = {
        "modelFormat": {"name": "mlflow"},
        "protocolVersion": "v2",
        "runtime": server.server,
        "storageUri": version.address(server.artifacts),
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "envFrom": [{"secretRef": {"name": server.credentials}}],
        "readinessProbe": {
            "httpGet": ready,
            "periodSeconds": 1,
            "timeoutSeconds": 2,
            "failureThreshold": 60,
        },
        # A server that has lost its model gets it again. One that is busy with a large batch
        # answers late, and is not dead for a minute.
        "startupProbe": {
            "httpGet": ready,
            "periodSeconds": 1,
            "timeoutSeconds": 2,
            "failureThreshold": 300,
        },
        "livenessProbe": {
            "httpGet": ready,
            "periodSeconds": 10,
            "timeoutSeconds": 10,
            "failureThreshold": 6,
        },
        # So that a failure's reason is in the Pod's status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        # Clients learn late that a Pod ends: it takes requests until they have.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
        "resources": {
            "requests": {"cpu": "50m", "memory": "256Mi"},
            "limits": {"cpu": "2", "memory": "512Mi"},
        },
    }
    predictor = {
        "serviceAccountName": server.credentials,
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
            "namespace": server.namespace,
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


def state(name: str, get: Get) -> State:
    """Return how far KServe is with an InferenceService.

    Its Ready stays true while Pods of a changed manifest start, or fail to, so the Deployment
    tells; and without Knative its controller does not look at Pods again, so they tell what fails.
    """
    found = {
        each["kind"]: each
        for each in get(f"inferenceservice/{name}", f"deployment/{name}-predictor")
    }
    if KIND not in found:
        return State(ready=False, failed=True, final=True, detail="the InferenceService is gone")
    body = found[KIND]
    status = body.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or []}
    digest = body["spec"]["predictor"].get("annotations", {}).get(_DIGEST)
    rolled_out = "Deployment" in found and _rolled_out(found["Deployment"], digest)
    if conditions.get("Ready", {}).get("status") == "True" and rolled_out:
        return State(ready=True)
    failure = (status.get("modelStatus") or {}).get("lastFailureInfo") or {}
    if failure.get("reason") in _FINAL:
        runtime = body["spec"]["predictor"]["model"].get("runtime")
        detail = f"{failure['reason']}: {failure.get('message', '')} (runtime {runtime})"
        return State(ready=False, failed=True, final=True, detail=detail)
    pods = get("pods", f"--selector={_SELECTOR}={name}")
    current = [pod for pod in pods if pod["metadata"].get("annotations", {}).get(_DIGEST) == digest]
    if reasons := sorted({reason for pod in current for reason in _failures(pod)}):
        return State(ready=False, failed=True, detail="; ".join(reasons))
    waiting = [
        f"{kind}: {each.get('message') or each.get('reason')}"
        for kind, each in sorted(conditions.items())
        if each.get("status") == "False" and (each.get("message") or each.get("reason"))
    ]
    return State(ready=False, detail="; ".join(waiting))


def request(name: str, rows: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Return a request of the Open Inference Protocol: one tensor a field, one value a row."""
    return f"v2/models/{name}/infer", {
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


def _failures(pod: Mapping[str, Any]) -> Iterator[str]:
    """Give a reason for each container that does not run, or ended before."""
    status = pod.get("status") or {}
    containers = [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]
    for container in containers:
        if container.get("ready"):
            continue
        ends = [container.get(key, {}).get("terminated") for key in ("state", "lastState")]
        ended = next((end for end in ends if end and end.get("exitCode")), None)
        waiting = container.get("state", {}).get("waiting") or {}
        if ended:
            # Of a traceback the error is at the end.
            line = ended.get("message", "").strip().rpartition("\n")[2]
            yield f"{container['name']}: {line or ended.get('reason')}"
        elif waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            yield f"{container['name']}: {waiting.get('message') or waiting['reason']}"
