"""The champion on KServe: through the gateway, under load, and when things go wrong."""

import copy
import json
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from flight_delay import labelled_sample
from mlops_infra.node.layout import StateFolder
from mlops_rollout import inference_service
from mlops_rollout.engine import State
from mlops_rollout.gateway_configuration import Backend, Route
from mlops_toolchain import layout
from tests.cluster.conftest import Kubectl
from tests.e2e import serving
from tests.e2e.conftest import Commands
from tests.e2e.serving import Load, wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

NAME = "trial"
NAMESPACE = "serving"
_CONTROLLER = "deployment/kserve-controller-manager"
_WRONG = "s3://artifacts/nothing/here"


@pytest.fixture(scope="module", name="stack")
def served_stack(whole_stack: Commands) -> Commands:
    return whole_stack


@pytest.fixture(scope="module", name="outputs")
def its_outputs(whole_outputs: dict[str, Any]) -> dict[str, Any]:
    return whole_outputs


@pytest.fixture(scope="module")
def kubectl(stack: Commands) -> Callable[..., str]:
    return partial(Kubectl(StateFolder.of(stack.name).kubeconfig), "--namespace", NAMESPACE)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return labelled_sample.read(str(layout.dataset_dir()), month=6, flights=20).rows


@pytest.fixture(scope="module")
def champion(kubectl: Callable[..., str], outputs: dict[str, Any]) -> dict[str, Any]:
    """The champion's manifest under another name, to change at will."""
    served = serving.champion(kubectl, "inferenceservices", outputs)
    return {
        "apiVersion": served["apiVersion"],
        "kind": served["kind"],
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "annotations": {"serving.kserve.io/autoscalerClass": "none"},
        },
        "spec": served["spec"],
    }


@pytest.fixture
def trial(kubectl: Callable[..., str], champion: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield copy.deepcopy(champion)
    kubectl("delete", "inferenceservice", NAME, "--ignore-not-found")
    wait(lambda: f"{NAME}-" not in kubectl("get", "deployments,pods"), "an empty namespace")


def _state(kubectl: Callable[..., str]) -> State:
    def get(*words: str) -> list[dict[str, Any]]:
        text = kubectl("get", *words, "--ignore-not-found", "--output", "json")
        found = json.loads(text or '{"items": []}')
        return list(found.get("items", [found]))

    return inference_service.state(NAME, get)


def _serve(kubectl: Callable[..., str], manifest: dict[str, Any]) -> float:
    serving.apply(kubectl, manifest)
    return wait(lambda: _state(kubectl).ready, "a server that is ready")


def _set_version(manifest: dict[str, Any], version: str) -> None:
    predictor = manifest["spec"]["predictor"]
    predictor["annotations"] = {"mlops-platform/manifest": f"trial-{version}"}
    (variable,) = [v for v in predictor["model"]["env"] if v["name"] == "MODEL_VERSION"]
    variable["value"] = version


def _set_uri(manifest: dict[str, Any], uri: str) -> None:
    manifest["spec"]["predictor"]["model"]["storageUri"] = uri


def _version(answer: dict[str, Any]) -> str:
    return str(answer["model_version"])


def _route() -> Route:
    host = inference_service.host(NAME, NAMESPACE)
    return Route(
        engine="kserve",
        namespace=NAMESPACE,
        name=NAME,
        backends=(Backend(host=host, weight=100),),
    )


def test_the_champion_answers_through_the_gateway(
    outputs: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    path, body = inference_service.request("flight-delay", rows)
    answer = httpx.post(f"{outputs['kserve_url']}/{path}", json={**body, "id": "mine"}).json()
    assert answer["id"] == "mine"
    found = inference_service.answer(answer)
    assert found.version == outputs["model_version"]
    assert len(found.probabilities) == len(rows)
    assert len(set(found.probabilities)) > len(rows) // 2
    assert all(0 <= each <= 1 for each in found.probabilities)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"month": "May"}, "row 0, month: should be a valid number"),
        ({"humid": -5}, "row 0, humid: should be greater than or equal to 0"),
        ({"tail": "N1"}, "row 0, tail: unknown"),
    ],
)
def test_a_malformed_request_is_refused_by_field(
    outputs: dict[str, Any], rows: list[dict[str, Any]], change: dict[str, Any], message: str
) -> None:
    path, body = inference_service.request("flight-delay", [{**rows[0], **change}])
    answer = httpx.post(f"{outputs['kserve_url']}/{path}", json=body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_a_model_is_not_unloaded_by_who_may_ask_it_and_comes_back_where_it_is(
    stack: Commands,
    kubectl: Callable[..., str],
    outputs: dict[str, Any],
    rows: list[dict[str, Any]],
) -> None:
    unload = "v2/repository/models/flight-delay/unload"
    answer = httpx.post(f"{outputs['kserve_url']}/{unload}")
    assert answer.status_code == 404
    assert "passes predictions, metadata and health" in answer.json()["error"]
    path, body = inference_service.request("flight-delay", rows)
    url = f"{outputs['kserve_url']}/{path}"
    assert httpx.post(url, json=body).status_code == 200
    # Within the cluster somebody may.
    name = serving.champion(kubectl, "inferenceservices", outputs)["metadata"]["name"]
    with serving.forward(stack, NAMESPACE, f"service/{name}-predictor", 80) as server:
        assert httpx.post(f"{server}/{unload}").status_code == 200
    assert httpx.post(url, json=body).status_code != 200
    wait(lambda: httpx.post(url, json=body).status_code == 200, "the restarted server", 150)


def test_a_model_that_is_not_there_is_not_found(
    outputs: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    _, body = inference_service.request("flight-delay", rows)
    answer = httpx.post(f"{outputs['kserve_url']}/v2/models/other/infer", json=body)
    assert answer.status_code == 404
    assert "other" in answer.json()["error"]


def test_predictions_are_logged(outputs: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    path, body = inference_service.request("flight-delay", rows)
    answer = httpx.post(
        f"{outputs['kserve_url']}/{path}", json={**body, "id": "kserve-logged"}
    ).json()
    wait(lambda: len(serving.logged(outputs, "kserve-logged")) == len(rows), "the log", 40)
    table = serving.logged(outputs, "kserve-logged")
    assert list(table["probability"]) == inference_service.answer(answer).probabilities
    assert list(table["carrier"]) == [row["carrier"] for row in rows]
    assert set(table["model_version"]) == {outputs["model_version"]}


def test_both_engines_say_the_same_side_by_side(stack: Commands, outputs: dict[str, Any]) -> None:
    lines = stack.run("predict", "--rows", "7").stdout.splitlines()
    version = outputs["model_version"]
    assert lines[1].split() == [
        "flight",
        "departs",
        "KServe",
        f"v{version}",
        "Seldon",
        f"v{version}",
        "was",
    ]
    said = [re.split(r"\s{2,}", line.strip()) for line in lines[2:]]
    assert len(said) == 7
    for _flight, _departs, on_kserve, on_seldon, was in said:
        assert on_kserve == on_seldon
        assert was in ("late", "on time")
    assert len({row[2] for row in said}) > 1


@pytest.mark.serving
def test_a_rolling_update_and_a_rollback_lose_no_request(
    stack: Commands,
    record_property: Callable[[str, object], None],
    kubectl: Callable[..., str],
    trial: dict[str, Any],
    rows: list[dict[str, Any]],
) -> None:
    _set_version(trial, "a")
    _serve(kubectl, trial)
    path, body = inference_service.request("flight-delay", rows[:1])
    with serving.routed(stack, _route()) as url:
        with Load(f"{url}/{path}", body, _version) as load:
            for version in ("b", "a"):
                _set_version(trial, version)
                _serve(kubectl, trial)
                time.sleep(20)
            load.last(60)
        assert not load.failed
        assert load.seconds >= 60
        # A prediction takes 15 ms of a core: how many a second fit is a figure of the machine.
        record_property("requests a second", round(load.rate, 1))
        assert load.answers.total() >= 1000
        assert load.answers["version a"] > 100
        assert load.answers["version b"] > 100


@pytest.mark.serving
def test_a_killed_server_comes_back(
    stack: Commands,
    kubectl: Callable[..., str],
    trial: dict[str, Any],
    rows: list[dict[str, Any]],
    outputs: dict[str, Any],
) -> None:
    """Of two replicas one is killed without warning; the gateway asks the other."""
    trial["spec"]["predictor"]["minReplicas"] = 2
    _set_version(trial, "a")
    _serve(kubectl, trial)
    selector = f"serving.kserve.io/inferenceservice={NAME}"
    pods = kubectl("get", "pods", "--selector", selector, "--output", "name").split()
    assert len(pods) == 2
    path, body = inference_service.request("flight-delay", rows[:1])
    with (
        serving.routed(stack, _route()) as url,
        Load(f"{url}/{path}", body, _version) as load,
    ):
        time.sleep(3)
        kubectl("delete", pods[0], "--grace-period=0", "--force", "--wait=false")
        time.sleep(3)
        wait(lambda: _state(kubectl).ready, "the other server")
    assert load.answers["version a"] / load.answers.total() > 0.98, load.failed


def test_a_wrong_address_is_the_reason_and_the_old_version_serves_on(
    stack: Commands,
    kubectl: Callable[..., str],
    trial: dict[str, Any],
    rows: list[dict[str, Any]],
) -> None:
    _set_version(trial, "old")
    _serve(kubectl, trial)
    uri = trial["spec"]["predictor"]["model"]["storageUri"]
    _set_uri(trial, _WRONG)
    _set_version(trial, "new")
    serving.apply(kubectl, trial)
    wait(lambda: _state(kubectl).failed, "the failure")
    assert _WRONG in _state(kubectl).detail
    path, body = inference_service.request("flight-delay", rows)
    with serving.forward(stack, NAMESPACE, f"service/{inference_service.service(NAME)}", 80) as url:
        answer = httpx.post(f"{url}/{path}", json=body).json()
    assert _version(answer) == "old"
    _set_uri(trial, uri)
    _serve(kubectl, trial)


def test_a_runtime_that_is_not_there_says_so(
    kubectl: Callable[..., str], trial: dict[str, Any]
) -> None:
    trial["spec"]["predictor"]["model"]["runtime"] = "nobody"
    serving.apply(kubectl, trial)
    wait(lambda: _state(kubectl).final, "the refusal", 30)
    assert "nobody" in _state(kubectl).detail


@pytest.mark.serving
def test_a_restarted_controller_goes_on(kubectl: Callable[..., str], trial: dict[str, Any]) -> None:
    there = ("--namespace", "kserve")
    _set_version(trial, "a")
    _serve(kubectl, trial)
    kubectl("delete", "pods", "--all", "--grace-period=0", "--force", *there)
    kubectl("rollout", "status", _CONTROLLER, "--timeout=90s", *there)
    assert _state(kubectl).ready
    _set_version(trial, "b")
    # Its webhook is asked as soon as it listens.
    wait(lambda: _accepted(kubectl, trial), "the controller's webhook", 30)
    wait(lambda: _state(kubectl).ready, "the update")


def _accepted(kubectl: Callable[..., str], manifest: dict[str, Any]) -> bool:
    try:
        serving.apply(kubectl, manifest)
    except AssertionError:
        return False
    return True


@pytest.mark.serving
def test_an_object_store_that_starts_later_is_waited_for(
    kubectl: Callable[..., str], trial: dict[str, Any]
) -> None:
    with serving.without_object_store(kubectl):
        serving.apply(kubectl, trial)
        time.sleep(20)
        assert not _state(kubectl).ready
    wait(lambda: _state(kubectl).ready, "the recovery", 240)


def _mlflow(outputs: dict[str, Any], path: str, **body: str) -> dict[str, Any]:
    url = f"{outputs['mlflow_url']}/api/2.0/mlflow/{path}"
    answer = httpx.post(url, json={"name": outputs["model_name"], **body})
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def _look_again(stack: Commands) -> None:
    """Let the stack read the champion, as a refresh does."""
    (urn,) = [r["urn"] for r in stack.stack.resources() if r["type"].endswith("mlops:ModelVersion")]
    stack.stack.capture_run("refresh", "--yes", "--skip-preview", "--target", urn)


@pytest.mark.serving
def test_an_update_that_cannot_serve_fails_with_the_reason(
    stack: Commands,
    kubectl: Callable[..., str],
    outputs: dict[str, Any],
    rows: list[dict[str, Any]],
) -> None:
    """Of a champion whose files are gone: the version before serves on."""
    run = outputs["model_run"]
    found = httpx.get(f"{outputs['mlflow_url']}/api/2.0/mlflow/runs/get", params={"run_id": run})
    source = f"{found.json()['run']['info']['artifact_uri']}/nothing/here"
    created = _mlflow(outputs, "model-versions/create", source=source, run_id=run)
    broken, good = created["model_version"]["version"], outputs["model_version"]
    _mlflow(outputs, "registered-models/alias", alias="champion", version=broken)
    try:
        _look_again(stack)
        failed = stack.run("up", check=False)
        assert failed.returncode
        text = failed.stdout + failed.stderr
        reason = r"flight-delay-v{}-\w+ does not serve: storage-initializer: .*nothing/here"
        assert re.search(reason.format(broken), text)
        path, body = inference_service.request("flight-delay", rows)
        answer = httpx.post(f"{outputs['kserve_url']}/{path}", json=body).json()
        assert _version(answer) == good
    finally:
        _mlflow(outputs, "registered-models/alias", alias="champion", version=good)
        _look_again(stack)
    # The version of before returns: made anew, and not lost with what it replaces.
    stack.run("up")
    serving.champion(kubectl, "inferenceservices", outputs)
    answer = httpx.post(f"{outputs['kserve_url']}/{path}", json=body).json()
    assert _version(answer) == good
