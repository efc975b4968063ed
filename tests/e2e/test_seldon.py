"""The champion on Seldon: through the gateway, under load, and when things go wrong."""

import copy
import io
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import pandas as pd
import pytest

from mlops_infra import object_store
from mlops_infra.node.layout import StateFolder
from mlops_infra.object_store import Connection
from mlops_toolchain import layout
from mlops_workloads import gateway_configuration, labelled_sample, seldon_deployment
from mlops_workloads.gateway_configuration import Backend, Route
from tests.cluster.conftest import Kubectl
from tests.e2e.conftest import CHECKOUT, Commands

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

NAME = "trial"
_READY_SECONDS = 120


@pytest.fixture(scope="module")
def stack(new_stack: Callable[[str], Commands]) -> Commands:
    """A stack that serves its champion on Seldon."""
    commands = new_stack("seldon")
    file = CHECKOUT / f"Pulumi.{commands.name}.yaml"
    file.write_text(file.read_text() + "  mlops-platform:servingEngines: seldon\n")
    commands.run("up")
    return commands


@pytest.fixture(scope="module")
def outputs(stack: Commands) -> dict[str, Any]:
    return stack.stack.outputs()


@pytest.fixture(scope="module")
def kubectl(stack: Commands) -> Callable[..., str]:
    return partial(Kubectl(StateFolder.of(stack.name).kubeconfig), "--namespace", "seldon")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return labelled_sample.read(layout.dataset_dir(), month=6, flights=20).rows


@pytest.fixture(scope="module")
def champion(kubectl: Callable[..., str], outputs: dict[str, Any]) -> dict[str, Any]:
    """The champion's manifest under another name, to change at will."""
    name = f"flight-delay-v{outputs['model_version']}"
    served = json.loads(kubectl("get", "seldondeployment", name, "--output", "json"))
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
    _wait(lambda: NAME not in kubectl("get", "deployments,services,pods"), "an empty namespace")


def _wait(condition: Callable[[], bool], what: str, seconds: float = _READY_SECONDS) -> float:
    start = time.monotonic()
    while time.monotonic() < start + seconds:
        if condition():
            return time.monotonic() - start
        time.sleep(0.5)
    pytest.fail(f"{what} did not happen within {seconds:.0f} s")


def _status(kubectl: Callable[..., str]) -> dict[str, Any]:
    body = json.loads(kubectl("get", "seldondeployment", NAME, "--output", "json"))
    status = body.get("status") or {}
    known = status.get("observedGeneration") == body["metadata"]["generation"]
    return status if known else {}


def _apply(kubectl: Callable[..., str], manifest: dict[str, Any]) -> None:
    kubectl("apply", "--server-side", "--filename", "-", stdin=json.dumps(manifest))


def _serve(kubectl: Callable[..., str], manifest: dict[str, Any]) -> float:
    _apply(kubectl, manifest)
    return _wait(lambda: _status(kubectl).get("state") == "Available", "an available deployment")


def _set_version(manifest: dict[str, Any], version: str, predictor: int = 0) -> None:
    graph = manifest["spec"]["predictors"][predictor]["graph"]
    graph["parameters"] = [{"name": "model_version", "type": "STRING", "value": version}]


@contextmanager
def _forward(stack: Commands, service: str) -> Iterator[str]:
    command = [
        *(str(layout.bin_dir() / "kubectl"), "--namespace", "seldon"),
        *("--kubeconfig", str(StateFolder.of(stack.name).kubeconfig)),
        *("port-forward", service, ":9000"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().rpartition(" ->")[0].rpartition(":")[2]
        yield f"http://127.0.0.1:{port}"
        process.terminate()


class Load:
    """Requests at a steady pace, from some threads, until told to stop."""

    def __init__(self, url: str, body: Any, per_second: float = 60, threads: int = 16) -> None:
        self.answers: Counter[str] = Counter()
        self._url, self._body, self._pause = url, body, threads / per_second
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(threads)
        self._threads = threads

    def __enter__(self) -> "Load":
        self._futures = [self._pool.submit(self._run) for _ in range(self._threads)]
        self._start = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for future in self._futures:
            future.result()
        self.seconds = time.monotonic() - self._start
        print(f"{self.rate:.1f} requests/s over {self.seconds:.0f} s: {dict(self.answers)}")

    @property
    def failed(self) -> dict[str, int]:
        return {k: v for k, v in self.answers.items() if not k.startswith("version ")}

    @property
    def rate(self) -> float:
        return self.answers.total() / self.seconds

    def _run(self) -> None:
        with httpx.Client(timeout=30) as client:
            due = time.monotonic()
            while not self._stop.is_set():
                try:
                    answer = client.post(self._url, json=self._body)
                    tags = answer.json()["meta"]["tags"] if answer.is_success else None
                    found = f"version {tags['model_version']}" if tags else answer.text
                except httpx.HTTPError as error:
                    found = repr(error)
                self.answers[found] += 1
                due += self._pause
                time.sleep(max(0.0, due - time.monotonic()))


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
    answer = httpx.post(url, json={"jsonData": rows, "meta": {"puid": "logged"}}).json()
    s3 = object_store.client(
        Connection(
            endpoint=outputs["s3_url"],
            region="us-east-1",
            access_key=outputs["s3_access_key"],
            secret_key=outputs["s3_secret_key"],
        )
    )

    def logged() -> pd.DataFrame:
        found = s3.list_objects_v2(Bucket="artifacts", Prefix="predictions/flight-delay/")
        bodies = [
            s3.get_object(Bucket="artifacts", Key=each["Key"])["Body"].read()
            for each in found.get("Contents", [])
        ]
        tables = [pd.read_parquet(io.BytesIO(body)) for body in bodies]
        whole = pd.concat(tables) if tables else pd.DataFrame({"request_id": []})
        return whole[whole["request_id"] == "logged"].sort_values("request_id")

    _wait(lambda: len(logged()) == len(rows), "the log", 40)
    table = logged().sort_values("row")
    assert list(table["probability"]) == [row[0] for row in answer["data"]["ndarray"]]
    assert list(table["carrier"]) == [row["carrier"] for row in rows]
    assert set(table["model_version"]) == {outputs["model_version"]}


def test_a_second_preview_shows_no_change(stack: Commands) -> None:
    stack.stack.ensure()
    text = stack.stack.capture_run("preview", "--json")
    assert set(json.loads(text)["changeSummary"]) == {"same"}


def test_two_predictors_get_the_traffic_of_the_manifest(
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
                host=f"{NAME}-{p['name']}.seldon.svc.cluster.local:{seldon_deployment.PORT}",
                weight=p["traffic"],
            )
            for p in trial["spec"]["predictors"]
        ),
    )
    original = json.loads(
        kubectl(
            *("get", "configmap", "serving-gateway", "--output", "json"),
            *("--namespace", "serving-gateway"),
        )
    )["data"]["nginx.conf"]
    try:
        _configure(kubectl, gateway_configuration.render([route]))
        url = f"{outputs['gateway_url']}{route.path}/api/v1.0/predictions"
        with Load(url, {"jsonData": rows[0]}, per_second=150) as load:
            _wait(lambda: load.answers.total() >= 2000, "2,000 requests")
    finally:
        _configure(kubectl, original)
    assert not load.failed
    share = load.answers["version canary"] / load.answers.total()
    assert share == pytest.approx(0.10, abs=0.03)


def _configure(kubectl: Callable[..., str], configuration: str) -> None:
    """Give the gateway another configuration, as an update does."""
    there = ("--namespace", "serving-gateway")
    patch = {"data": {"nginx.conf": configuration}}
    kubectl("patch", "configmap", "serving-gateway", "--patch", json.dumps(patch), *there)
    (name,) = kubectl("get", "deployments", "--output", "name", *there).split()
    kubectl("rollout", "restart", name, *there)
    kubectl("rollout", "status", name, "--timeout=90s", *there)


def test_a_rolling_update_and_a_rollback_lose_no_request(
    stack: Commands,
    kubectl: Callable[..., str],
    trial: dict[str, Any],
    rows: list[dict[str, Any]],
    outputs: dict[str, Any],
) -> None:
    _set_version(trial, "a")
    _serve(kubectl, trial)
    with _route_to_trial(kubectl, outputs) as url:
        with Load(url, {"jsonData": rows[0]}) as load:
            for version in ("b", "a"):
                _set_version(trial, version)
                _serve(kubectl, trial)
                time.sleep(12)
            _configure(kubectl, gateway_configuration.render([_trial_route()]))
            _wait(lambda: load.answers.total() >= 3600, "a minute of requests")
        assert not load.failed
        assert load.seconds >= 60
        assert load.rate >= 50
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


@contextmanager
def _route_to_trial(kubectl: Callable[..., str], outputs: dict[str, Any]) -> Iterator[str]:
    there = ("--namespace", "serving-gateway")
    found = json.loads(kubectl("get", "configmap", "serving-gateway", "--output", "json", *there))
    _configure(kubectl, gateway_configuration.render([_trial_route()]))
    try:
        yield f"{outputs['gateway_url']}{_trial_route().path}/api/v1.0/predictions"
    finally:
        _configure(kubectl, found["data"]["nginx.conf"])


def test_a_killed_server_comes_back(
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
        _route_to_trial(kubectl, outputs) as url,
        Load(url, {"jsonData": rows[0]}) as load,
    ):
        time.sleep(3)
        kubectl("delete", pods.split()[0], "--grace-period=0", "--force", "--wait=false")
        time.sleep(3)
        _wait(lambda: _status(kubectl).get("state") == "Available", "the other server")
    answered = load.answers["version a"]
    assert answered / load.answers.total() > 0.98, load.failed


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
    _apply(kubectl, trial)
    _wait(lambda: _status(kubectl).get("state") == "Failed", "the failure")
    (ready,) = [c for c in _status(kubectl)["conditions"] if c["type"] == "Ready"]
    assert ready["status"] == "False"
    assert "s3://artifacts/nothing/here" in ready["message"]
    with _forward(stack, f"service/{NAME}-default") as url:
        answer = httpx.post(f"{url}/api/v1.0/predictions", json={"jsonData": rows[0]}).json()
    assert answer["meta"]["tags"]["model_version"] == "old"
    trial["spec"]["predictors"][0]["graph"]["modelUri"] = uri
    _serve(kubectl, trial)


def test_a_graph_that_is_not_supported_says_so(
    kubectl: Callable[..., str], trial: dict[str, Any]
) -> None:
    trial["spec"]["predictors"][0]["graph"]["children"] = [{"name": "b", "type": "MODEL"}]
    _apply(kubectl, trial)
    _wait(lambda: _status(kubectl).get("state") == "Failed", "the refusal", 30)
    assert "graphs of more than one node are not supported" in _status(kubectl)["description"]
    assert f"{NAME}-" not in kubectl("get", "deployments", "--output", "name")


def test_an_object_store_that_starts_later_is_waited_for(
    kubectl: Callable[..., str], trial: dict[str, Any]
) -> None:
    there = ("--namespace", "object-storage")
    (gateway,) = kubectl("get", "deployments", "--output", "name", *there).split()
    kubectl("scale", gateway, "--replicas=0", *there)
    kubectl("wait", "--for=delete", "pod", "--all", "--timeout=60s", *there)
    try:
        _apply(kubectl, trial)
        time.sleep(20)
        assert _status(kubectl).get("state") != "Available"
    finally:
        kubectl("scale", gateway, "--replicas=1", *there)
    _wait(lambda: _status(kubectl).get("state") == "Available", "the recovery", 240)


def test_destroy_with_live_servers_leaves_nothing(
    stack: Commands, kubectl: Callable[..., str], champion: dict[str, Any]
) -> None:
    _apply(kubectl, champion)
    text = stack.run("down").stdout
    assert text.splitlines()[-1].startswith("leftovers: 0")
