"""The champion on Seldon: through the gateway, under load, and when things go wrong."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from flight_delay import labelled_sample
from mlops_infra.node.layout import StateFolder
from mlops_rollout import gateway, seldon_deployment
from mlops_rollout.gateway_configuration import Backend, Route
from mlops_toolchain import layout
from tests.cluster.conftest import Kubectl
from tests.e2e import serving
from tests.e2e.conftest import Commands
from tests.e2e.serving import Load, wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

NAME = "trial"


@pytest.fixture(scope="module", name="stack")
def served_stack(whole_stack: Commands) -> Commands:
    return whole_stack


@pytest.fixture(scope="module", name="outputs")
def its_outputs(whole_outputs: dict[str, Any]) -> dict[str, Any]:
    return whole_outputs


@pytest.fixture(scope="module")
def kubectl(stack: Commands) -> Callable[..., str]:
    return partial(Kubectl(StateFolder.of(stack.name).kubeconfig), "--namespace", "seldon")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return labelled_sample.read(str(layout.dataset_dir()), month=6, flights=20).rows


@pytest.fixture(scope="module")
def champion(kubectl: Callable[..., str], outputs: dict[str, Any]) -> dict[str, Any]:
    """The champion's manifest under another name, to change at will."""
    served = serving.champion(kubectl, "seldondeployments", outputs)
    return {
        "apiVersion": served["apiVersion"],
        "kind": served["kind"],
        "metadata": {"name": NAME, "namespace": "seldon"},
        "spec": served["spec"],
    }


@pytest.fixture
def trial(kubectl: Callable[..., str], champion: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield copy.deepcopy(champion)
    kubectl("delete", "seldondeployment", NAME, "--ignore-not-found")
    wait(lambda: NAME not in kubectl("get", "deployments,services,pods"), "an empty namespace")


def _status(kubectl: Callable[..., str]) -> dict[str, Any]:
    body = json.loads(kubectl("get", "seldondeployment", NAME, "--output", "json"))
    status = body.get("status") or {}
    known = status.get("observedGeneration") == body["metadata"]["generation"]
    return status if known else {}


def _serve(kubectl: Callable[..., str], manifest: dict[str, Any]) -> float:
    serving.apply(kubectl, manifest)
    return wait(lambda: _status(kubectl).get("state") == "Available", "an available deployment")


def _set_version(manifest: dict[str, Any], version: str, predictor: int = 0) -> None:
    graph = manifest["spec"]["predictors"][predictor]["graph"]
    graph["parameters"] = [{"name": "model_version", "type": "STRING", "value": version}]


def _version(answer: dict[str, Any]) -> str:
    return str(answer["meta"]["tags"]["model_version"])


def test_the_champion_answers_through_the_gateway(
    outputs: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    url = f"{outputs['seldon_url']}/api/v1.0/predictions"
    answer = httpx.post(url, json={"jsonData": rows, "meta": {"puid": "mine"}}).json()
    assert answer["meta"]["tags"] == {
        "model_version": outputs["model_version"],
        "request_id": "mine",
    }
    probabilities = [row[0] for row in answer["data"]["ndarray"]]
    assert len(probabilities) == len(rows)
    assert len(set(probabilities)) > len(rows) // 2
    names = list(rows[0])
    table = {"names": names, "ndarray": [[row[name] for name in names] for row in rows]}
    same = httpx.post(url, json={"data": table}).json()
    assert same["data"]["ndarray"] == answer["data"]["ndarray"]


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
    url = f"{outputs['seldon_url']}/api/v1.0/predictions"
    answer = httpx.post(url, json={"jsonData": [{**rows[0], **change}]})
    assert answer.status_code == 400
    assert message in answer.json()["status"]["info"]


def test_predictions_are_logged(outputs: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    url = f"{outputs['seldon_url']}/api/v1.0/predictions"
    answer = httpx.post(url, json={"jsonData": rows, "meta": {"puid": "seldon-logged"}}).json()
    wait(lambda: len(serving.logged(outputs, "seldon-logged")) == len(rows), "the log", 40)
    table = serving.logged(outputs, "seldon-logged")
    assert list(table["probability"]) == [row[0] for row in answer["data"]["ndarray"]]
    assert list(table["carrier"]) == [row["carrier"] for row in rows]
    assert set(table["model_version"]) == {outputs["model_version"]}


@pytest.mark.serving
def test_two_predictors_get_the_traffic_of_the_manifest(
    stack: Commands,
    outputs: dict[str, Any],
    kubectl: Callable[..., str],
    trial: dict[str, Any],
    rows: list[dict[str, Any]],
) -> None:
    """The gateway splits as the manifest says, over 2,000 requests."""
    (main,) = trial["spec"]["predictors"]
    canary = copy.deepcopy(main)
    main |= {"name": "main", "traffic": 90}
    canary |= {"name": "canary", "traffic": 10}
    trial["spec"]["predictors"] = [main, canary]
    _set_version(trial, "main", 0)
    _set_version(trial, "canary", 1)
    _serve(kubectl, trial)
    route = Route(
        engine="seldon",
        namespace="seldon",
        name=NAME,
        backends=tuple(
            Backend(
                host=f"{NAME}-{p['name']}.seldon.svc.cluster.local:{seldon_deployment.SERVICE_PORT}",
                weight=p["traffic"],
            )
            for p in trial["spec"]["predictors"]
        ),
    )
    with (
        serving.routed(stack, route) as url,
        Load(
            f"{url}/api/v1.0/predictions", {"jsonData": rows[0]}, _version, per_second=150
        ) as load,
    ):
        wait(lambda: load.answers.total() >= 2000, "2,000 requests")
    assert not load.failed
    share = load.answers["version canary"] / load.answers.total()
    assert share == pytest.approx(0.10, abs=0.03)


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
    with serving.routed(stack, _trial_route()) as url:
        with Load(f"{url}/api/v1.0/predictions", {"jsonData": rows[0]}, _version) as load:
            for version in ("b", "a"):
                _set_version(trial, version)
                _serve(kubectl, trial)
                time.sleep(20)
            gateway.restart(serving.kubectl_of(stack.stack.outputs()))
            load.last(60)
        assert not load.failed
        assert load.seconds >= 60
        # How many a second fit is a figure of the machine.
        record_property("requests a second", round(load.rate, 1))
        assert load.answers.total() >= 1000
        assert load.answers["version a"] > 100
        assert load.answers["version b"] > 100


def _trial_route() -> Route:
    host = seldon_deployment.host(NAME, "seldon")
    return Route(
        engine="seldon",
        namespace="seldon",
        name=NAME,
        backends=(Backend(host=host, weight=100),),
    )


@pytest.mark.serving
def test_a_killed_server_comes_back(
    stack: Commands,
    kubectl: Callable[..., str],
    trial: dict[str, Any],
    rows: list[dict[str, Any]],
    outputs: dict[str, Any],
) -> None:
    """Of two replicas one is killed without warning; the gateway asks the other."""
    trial["spec"]["predictors"][0]["replicas"] = 2
    _set_version(trial, "a")
    _serve(kubectl, trial)
    pods = kubectl("get", "pods", "--selector", f"seldon-deployment-id={NAME}", "--output", "name")
    with (
        serving.routed(stack, _trial_route()) as url,
        Load(f"{url}/api/v1.0/predictions", {"jsonData": rows[0]}, _version) as load,
    ):
        time.sleep(3)
        kubectl("delete", pods.split()[0], "--grace-period=0", "--force", "--wait=false")
        time.sleep(3)
        wait(lambda: _status(kubectl).get("state") == "Available", "the other server")
    answered = load.answers["version a"]
    assert answered / load.answers.total() > 0.98, load.failed


def test_what_is_deleted_below_it_is_back_within_seconds(
    kubectl: Callable[..., str], trial: dict[str, Any]
) -> None:
    _serve(kubectl, trial)
    selector = f"--selector=seldon-deployment-id={NAME}"
    for kind in ("services", "deployments"):
        names = kubectl("get", kind, selector, "--output", "name").split()
        assert names
        kubectl("delete", kind, selector)
        again = partial(kubectl, "get", kind, selector, "--output", "name")
        wait(partial(_gives, again, names), f"the {kind} of before", 20)
    wait(lambda: _status(kubectl).get("state") == "Available", "an available deployment")


def _gives(ask: Callable[[], str], names: list[str]) -> bool:
    return ask().split() == names


def test_a_wrong_address_is_the_reason_and_the_old_version_serves_on(
    stack: Commands,
    kubectl: Callable[..., str],
    trial: dict[str, Any],
    rows: list[dict[str, Any]],
) -> None:
    _set_version(trial, "old")
    _serve(kubectl, trial)
    uri = trial["spec"]["predictors"][0]["graph"]["modelUri"]
    trial["spec"]["predictors"][0]["graph"]["modelUri"] = "s3://artifacts/nothing/here"
    _set_version(trial, "new")
    serving.apply(kubectl, trial)
    wait(lambda: _status(kubectl).get("state") == "Failed", "the failure")
    # It stays so while the server is started again.
    for _ in range(10):
        time.sleep(0.5)
        status = _status(kubectl)
        assert status["state"] == "Failed"
        (ready,) = [c for c in status["conditions"] if c["type"] == "Ready"]
        assert ready["status"] == "False"
        assert "s3://artifacts/nothing/here" in ready["message"]
    with serving.forward(stack, "seldon", f"service/{NAME}-default", 9000) as url:
        answer = httpx.post(f"{url}/api/v1.0/predictions", json={"jsonData": rows[0]}).json()
    assert answer["meta"]["tags"]["model_version"] == "old"
    trial["spec"]["predictors"][0]["graph"]["modelUri"] = uri
    _serve(kubectl, trial)


def test_a_graph_that_is_not_supported_says_so(
    kubectl: Callable[..., str], trial: dict[str, Any]
) -> None:
    trial["spec"]["predictors"][0]["graph"]["children"] = [{"name": "b", "type": "MODEL"}]
    serving.apply(kubectl, trial)
    wait(lambda: _status(kubectl).get("state") == "Failed", "the refusal", 30)
    assert "graphs of more than one node are not supported" in _status(kubectl)["description"]
    assert f"{NAME}-" not in kubectl("get", "deployments", "--output", "name")


@pytest.mark.serving
def test_an_object_store_that_starts_later_is_waited_for(
    kubectl: Callable[..., str], trial: dict[str, Any]
) -> None:
    with serving.without_object_store(kubectl):
        serving.apply(kubectl, trial)
        time.sleep(20)
        assert _status(kubectl).get("state") != "Available"
    wait(lambda: _status(kubectl).get("state") == "Available", "the recovery", 240)
