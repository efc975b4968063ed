"""The InferenceService of a version, and how far KServe is with it."""

from dataclasses import replace
from typing import Any

import pytest

from mlops_rollout import inference_service
from mlops_rollout.engine import ModelServer, State, Version
from mlops_rollout.gateway_configuration import LONGEST_SECONDS

SERVER = ModelServer(
    engine="kserve",
    namespace="serving",
    server="kserve-mlserver",
    model="flight-delay",
    credentials="flight-delay-object-store",
    artifacts="s3://artifacts/mlflow",
    log_bucket="artifacts",
    log_rate=0.5,
    name="flight-delay",
    runtime_class="flight_serving.mlserver_runtime.FlightDelayRuntime",
)
VERSION = Version(number="3", uri="mlflow-artifacts:/1/models/m/artifacts")
BODY = inference_service.manifest(SERVER, VERSION)
MODEL = BODY["spec"]["predictor"]["model"]
LOADED = {
    "conditions": [{"type": "Ready", "status": "True"}],
    "modelStatus": {"transitionStatus": "UpToDate"},
}


def _deployment(
    *, annotations: dict[str, str] | None = None, seen: int = 1, **status: int
) -> dict[str, Any]:
    wanted = BODY["spec"]["predictor"]["annotations"] if annotations is None else annotations
    counts = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, **status}
    return {
        "kind": "Deployment",
        "metadata": {"generation": 1},
        "spec": {"replicas": 1, "template": {"metadata": {"annotations": wanted}}},
        "status": {"observedGeneration": seen, **counts},
    }


def _pod(*, digest: str = "", init: Any = None, server: Any = None) -> dict[str, Any]:
    wanted = BODY["spec"]["predictor"]["annotations"]
    return {
        "kind": "Pod",
        "metadata": {"annotations": dict.fromkeys(wanted, digest) if digest else wanted},
        "status": {
            "initContainerStatuses": [{"name": "storage-initializer", **(init or {})}],
            "containerStatuses": [{"name": "kserve-container", **(server or {})}],
        },
    }


def _state(status: dict[str, Any], *others: dict[str, Any]) -> State:
    def get(*words: str) -> list[dict[str, Any]]:
        pods = [each for each in others if each["kind"] == "Pod"]
        rest = [each for each in others if each["kind"] != "Pod"]
        return pods if words[0] == "pods" else [{**BODY, "status": status}, *rest]

    return inference_service.state("flight-delay-v3-abcde", get)


def _ended(message: str) -> dict[str, Any]:
    return {"terminated": {"exitCode": 1, "reason": "Error", "message": message}}


def test_the_server_loads_one_version_with_our_runtime() -> None:
    variables = {each["name"]: each["value"] for each in MODEL["env"]}
    assert variables["MLSERVER_MODEL_IMPLEMENTATION"].endswith(".FlightDelayRuntime")
    assert MODEL["storageUri"] == "s3://artifacts/mlflow/1/models/m/artifacts"
    assert variables["MODEL_VERSION"] == "3"
    assert {"requests", "limits"} <= set(MODEL["resources"])


def test_a_model_without_a_class_of_its_own_is_served_by_its_own_name() -> None:
    server = replace(SERVER, name="tumours", runtime_class="")
    model = inference_service.manifest(server, VERSION)["spec"]["predictor"]["model"]
    variables = {each["name"]: each["value"] for each in model["env"]}
    assert variables["MLSERVER_MODEL_IMPLEMENTATION"] == (
        "mlops_serving.mlserver_runtime.ClassifierRuntime"
    )
    assert variables["MLSERVER_MODEL_NAME"] == "tumours"
    for probe in ("readinessProbe", "startupProbe", "livenessProbe"):
        assert model[probe]["httpGet"]["path"] == "/v2/models/tumours/ready"
    assert inference_service.request("tumours", [{"x": 1.0}])[0] == "v2/models/tumours/infer"


def test_a_server_that_has_lost_its_model_is_restarted() -> None:
    for probe in ("startupProbe", "livenessProbe"):
        assert MODEL[probe]["httpGet"]["path"] == "/v2/models/flight-delay/ready"
    # A batch may take as long as the gateway waits.
    alive = MODEL["livenessProbe"]
    assert alive["periodSeconds"] * alive["failureThreshold"] > LONGEST_SECONDS


def test_it_holds_no_credentials_and_makes_no_autoscaler() -> None:
    annotations = BODY["metadata"]["annotations"]
    assert annotations["serving.kserve.io/autoscalerClass"] == "none"
    assert MODEL["envFrom"] == [{"secretRef": {"name": SERVER.credentials}}]
    assert BODY["spec"]["predictor"]["serviceAccountName"] == SERVER.credentials


def test_a_version_that_is_rolled_out_is_ready() -> None:
    assert _state(LOADED, _deployment()).ready


@pytest.mark.parametrize(
    "deployment",
    [
        _deployment(annotations={}),
        _deployment(seen=0),
        _deployment(updatedReplicas=0),
        _deployment(availableReplicas=0),
        _deployment(replicas=2),
    ],
)
def test_servers_of_the_manifest_before_do_not_count(deployment: dict[str, Any]) -> None:
    assert not _state(LOADED, deployment).ready


def test_what_nobody_has_seen_is_not_ready() -> None:
    assert _state({}) == State(ready=False)


def test_what_is_gone_fails_at_once() -> None:
    state = inference_service.state("flight-delay-v3-abcde", lambda *_: [])
    assert state.failed
    assert state.final


@pytest.mark.parametrize("now", ["state", "lastState"])
def test_the_reason_is_the_error_at_the_end_of_the_log(now: str) -> None:
    log = "Traceback (most recent call last):\n  File x\nRuntimeError: no model in s3://a/b\n"
    for pod in (
        _pod(init={now: _ended(log)}),
        _pod(init={"ready": True}, server={now: _ended(log)}),
    ):
        state = _state({}, pod)
        assert state.failed
        assert not state.final
        assert state.detail.endswith("r: RuntimeError: no model in s3://a/b")


def test_an_image_that_cannot_be_had_is_a_failure() -> None:
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}
    assert _state({}, _pod(server={"state": waiting})).detail == "kserve-container: no such image"


def test_a_container_that_starts_is_no_failure() -> None:
    starting = {"waiting": {"reason": "PodInitializing"}}
    assert not _state({}, _pod(init={"state": {"running": {}}}, server={"state": starting})).failed
    # It failed before, and is there now.
    assert not _state({}, _pod(init={"ready": True, "lastState": _ended("x")})).failed


def test_pods_of_another_manifest_do_not_fail_this_one() -> None:
    assert not _state({}, _pod(digest="other", init={"state": _ended("x")})).failed


def test_an_unknown_runtime_fails_at_once() -> None:
    failure = {"reason": "RuntimeNotRecognized", "message": "no runtime called so"}
    state = _state({"modelStatus": {"lastFailureInfo": failure}})
    assert state.failed
    assert state.final
    assert state.detail == "RuntimeNotRecognized: no runtime called so (runtime kserve-mlserver)"


def test_flights_become_one_tensor_a_field() -> None:
    path, body = inference_service.request(
        "flight-delay", [{"carrier": "UA", "wind_gust": None}] * 2
    )
    assert path == "v2/models/flight-delay/infer"
    assert body["inputs"] == [
        {"name": "carrier", "shape": [2, 1], "datatype": "BYTES", "data": ["UA", "UA"]},
        {"name": "wind_gust", "shape": [2, 1], "datatype": "FP64", "data": [None, None]},
    ]


def test_an_answer_gives_version_and_probabilities() -> None:
    body = {"model_version": "3", "outputs": [{"name": "probability", "data": [0.1, 0.9]}]}
    answer = inference_service.answer(body)
    assert (answer.version, answer.probabilities) == ("3", [0.1, 0.9])
    assert inference_service.answer({"error": "none"}).probabilities == []
