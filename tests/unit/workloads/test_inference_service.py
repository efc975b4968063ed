"""The InferenceService of a version."""

from mlops_workloads import inference_service
from mlops_workloads.inference_service import ServedModel

SERVED = ServedModel(
    name="flight-delay-v3",
    namespace="serving",
    runtime="kserve-mlserver",
    model="flight-delay",
    version="3",
    uri="s3://artifacts/mlflow/1/models/m/artifacts",
    account="flight-delay",
    secret="flight-delay-object-store",
    log_bucket="artifacts",
    log_rate=0.5,
)


def test_the_server_loads_one_version_with_our_runtime() -> None:
    body = inference_service.manifest(SERVED)
    model = body["spec"]["predictor"]["model"]
    assert body["metadata"]["labels"]["modelClass"].endswith(".FlightDelayRuntime")
    assert model["storageUri"] == SERVED.uri
    assert {"name": "MODEL_VERSION", "value": "3"} in model["env"]
    assert {"requests", "limits"} <= set(model["resources"])


def test_it_holds_no_credentials_and_makes_no_autoscaler() -> None:
    body = inference_service.manifest(SERVED)
    annotations = body["metadata"]["annotations"]
    assert annotations["serving.kserve.io/autoscalerClass"] == "none"
    assert body["spec"]["predictor"]["model"]["envFrom"] == [{"secretRef": {"name": SERVED.secret}}]
