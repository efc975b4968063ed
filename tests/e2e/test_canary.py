"""A canary on both engines by the commands: tried, promoted, rolled back, and refused."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import pytest

from flight_delay import labelled_sample
from mlops_infra.node.layout import StateFolder
from mlops_rollout import gateway_configuration, inference_service, seldon_deployment
from mlops_rollout.engine import Engine
from mlops_rollout.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry
from mlops_toolchain import layout
from tests.cluster.conftest import Kubectl
from tests.e2e.conftest import Commands
from tests.e2e.serving import Load, kubectl_of, wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

ENGINES: dict[str, Engine] = {"kserve": inference_service, "seldon": seldon_deployment}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return labelled_sample.read(str(layout.dataset_dir()), month=6, flights=1).rows


@pytest.fixture(scope="module")
def registry(whole_outputs: dict[str, Any]) -> Registry:
    return Registry(whole_outputs["mlflow_url"], whole_outputs["model_name"])


@pytest.fixture(scope="module")
def champion(registry: Registry) -> str:
    found = registry.by_alias(CHAMPION)
    assert found
    return found.version.number


@pytest.fixture
def register(whole_outputs: dict[str, Any]) -> Iterator[Callable[[str], str]]:
    """Return what registers another version of the champion's files, or of files beside them."""
    url = f"{whole_outputs['mlflow_url']}/api/2.0/mlflow"
    name, run = whole_outputs["model_name"], whole_outputs["model_run"]
    query = {"name": name, "version": whole_outputs["model_version"]}
    version = httpx.get(f"{url}/model-versions/get", params=query).raise_for_status().json()
    trained = httpx.get(f"{url}/runs/get", params={"run_id": run}).raise_for_status().json()
    files, folder = version["model_version"]["source"], trained["run"]["info"]["artifact_uri"]
    made: list[str] = []

    def another(beside: str = "") -> str:
        body = {"name": name, "run_id": run, "source": f"{folder}{beside}"}
        if not beside:
            body |= {"source": files, "model_id": files.removeprefix("models:/")}
        created = httpx.post(f"{url}/model-versions/create", json=body).raise_for_status()
        made.append(str(created.json()["model_version"]["version"]))
        return made[-1]

    yield another
    for version in made:
        httpx.request("DELETE", f"{url}/model-versions/delete", json={**query, "version": version})


@pytest.fixture
def ended(
    whole_stack: Commands, registry: Registry, champion: str, register: object
) -> Iterator[None]:
    """Let the champion of before serve alone at the end, whatever the test did."""
    assert register  # whose versions go after this
    yield
    now = registry.by_alias(CHAMPION)
    if registry.by_alias(CHALLENGER) or (now and now.version.number != champion):
        whole_stack.run("rollback")


def _loads(
    outputs: dict[str, Any], rows: list[dict[str, Any]], per_second: float = 40
) -> dict[str, Load]:
    loads = {}
    for name, engine in ENGINES.items():
        path, body = engine.request("flight-delay", rows)
        url = f"{outputs[f'{name}_url']}/{path}"
        loads[name] = Load(url, body, partial(_version, engine), per_second=per_second, threads=4)
    return loads


def _version(engine: Engine, answer: Any) -> str:
    return engine.answer(answer).version


def _manifests(stack: Commands) -> dict[str, list[str]]:
    kubectl = Kubectl(StateFolder.of(stack.name).kubeconfig)
    kinds = {"kserve": "inferenceservices", "seldon": "seldondeployments"}
    return {
        engine: sorted(
            each["metadata"]["labels"]["mlops-platform/version"]
            for each in json.loads(
                kubectl("get", kind, "-A", "-l", "mlops-platform/model", "--output", "json")
            )["items"]
        )
        for engine, kind in kinds.items()
    }


def test_the_deploy_step_of_the_first_run_rolled_the_champion_out(
    whole_stack: Commands, whole_outputs: dict[str, Any]
) -> None:
    kubectl = Kubectl(StateFolder.of(whole_stack.name).kubeconfig)
    label = f"pipeline/runid={whole_outputs['pipeline_run']}"
    listed = kubectl("get", "pods", "-n", "kubeflow", "-l", label, "--output", "json")
    (pod,) = [
        each["metadata"]["name"]
        for each in json.loads(listed)["items"]
        if ".deploy.executor" in each["metadata"]["annotations"]["workflows.argoproj.io/node-name"]
    ]
    log = kubectl("logs", pod, "-n", "kubeflow", "--container", "main")
    for engine in ENGINES:
        assert f"{engine}: version 1 starts" in log
        assert f"{engine}: version 1 answers, ROC AUC 0." in log


def test_a_gateway_that_ends_says_so_on_every_connection(
    whole_outputs: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    """A client that keeps its connection takes another in time, and loses no request."""
    kubectl = kubectl_of(whole_outputs)
    (pod,) = kubectl.get("pods")
    flag = ("exec", pod["metadata"]["name"], "--")
    path, body = inference_service.request("flight-delay", rows)
    url = f"{whole_outputs['kserve_url']}/{path}"
    with httpx.Client() as client:

        def kept() -> str:
            return client.post(url, json=body).raise_for_status().headers["connection"]

        assert kept() == "keep-alive"
        kubectl.run(*flag, "touch", gateway_configuration.DRAINING)
        try:
            assert kept() == "close"
        finally:
            kubectl.run(*flag, "rm", gateway_configuration.DRAINING)
        assert kept() == "keep-alive"


@pytest.mark.usefixtures("ended")
def test_a_canary_is_tried_promoted_and_rolled_back_without_a_lost_request(
    whole_stack: Commands,
    whole_outputs: dict[str, Any],
    rows: list[dict[str, Any]],
    registry: Registry,
    register: Callable[[str], str],
) -> None:
    """On both engines at once, with all requests through the gateway."""
    champion, tried = whole_outputs["model_version"], register("")
    with _loaded(whole_outputs, rows) as loads:
        text = whole_stack.run("canary", "--version", tried, "--weight", "30").stdout
        _await_answers(loads, tried)
    assert f"version {tried} with 30 % of the requests" in text
    _check(loads, champion, tried)
    challenger = registry.by_alias(CHALLENGER)
    assert challenger
    assert (challenger.version.number, challenger.canary_percent) == (tried, 30)
    both = sorted([champion, tried])
    assert _manifests(whole_stack) == {"kserve": both, "seldon": both}
    for load in _loads(whole_outputs, rows, per_second=200).values():
        with load:
            wait(lambda load=load: load.answers.total() >= 2000, "2,000 requests")
        assert not load.failed
        share = load.answers[f"version {tried}"] / load.answers.total()
        assert share == pytest.approx(0.30, abs=0.03)
    with _loaded(whole_outputs, rows) as loads:
        whole_stack.run("promote")
        assert registry.by_alias(CHALLENGER) is None
        assert (_alias(registry, CHAMPION), _alias(registry, PREVIOUS)) == (tried, champion)
        assert _manifests(whole_stack) == {"kserve": [tried], "seldon": [tried]}
        _await_answers(loads, tried)
        whole_stack.run("rollback")
        _await_answers(loads, champion)
    _check(loads, champion, tried)
    assert _alias(registry, CHAMPION) == champion
    assert _manifests(whole_stack) == {"kserve": [champion], "seldon": [champion]}
    whole_stack.stack.ensure()
    preview = whole_stack.stack.capture_run("preview", "--json")
    assert set(json.loads(preview)["changeSummary"]) == {"same"}


@contextmanager
def _loaded(outputs: dict[str, Any], rows: list[dict[str, Any]]) -> Iterator[dict[str, Load]]:
    loads = _loads(outputs, rows, per_second=15)
    with loads["kserve"], loads["seldon"]:
        yield loads


def _await_answers(loads: dict[str, Load], version: str) -> None:
    """Wait until each engine has answered with a version from now on."""
    name = f"version {version}"
    before = {engine: load.answers[name] for engine, load in loads.items()}
    wait(
        lambda: all(load.answers[name] > before[engine] for engine, load in loads.items()),
        f"answers of {name}",
    )


def _check(loads: dict[str, Load], *versions: str) -> None:
    """No request was lost, and each of the versions answered some."""
    for load in loads.values():
        assert not load.failed
        assert set(load.answers) == {f"version {each}" for each in versions}


def test_a_version_that_cannot_serve_is_refused_with_the_reason(
    whole_stack: Commands,
    whole_outputs: dict[str, Any],
    rows: list[dict[str, Any]],
    registry: Registry,
    register: Callable[[str], str],
) -> None:
    """Of a version whose files are gone: the champion serves on, alone."""
    champion, broken = whole_outputs["model_version"], register("/nothing/here")
    with _loaded(whole_outputs, rows) as loads:
        failed = whole_stack.run("canary", "--version", broken, "--weight", "50", check=False)
    assert failed.returncode == 1
    assert f"flight-delay-v{broken}-" in failed.stderr
    assert "nothing/here" in failed.stderr
    assert "what served before serves on" in failed.stderr
    assert registry.by_alias(CHALLENGER) is None
    assert _manifests(whole_stack) == {"kserve": [champion], "seldon": [champion]}
    _check(loads, champion)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--version", "99"), "VERSION=99 is not registered; beside the champion"),
        (("--version", "champion"), "VERSION=champion is not registered"),
        ((), "VERSION is not given"),
        (("--version", "1", "--weight", "0"), "WEIGHT=0 is no share of the requests"),
        (("--version", "1", "--weight", "100"), "WEIGHT=100 is no share of the requests"),
    ],
)
def test_a_canary_of_nothing_is_refused(
    whole_stack: Commands, words: tuple[str, ...], message: str
) -> None:
    failed = whole_stack.run("canary", *words, check=False)
    assert failed.returncode == 1
    assert message in failed.stderr


def test_nothing_that_is_tried_cannot_be_promoted(whole_stack: Commands) -> None:
    failed = whole_stack.run("promote", check=False)
    assert failed.returncode == 1
    assert "no version is tried; `make canary" in failed.stderr


def _alias(registry: Registry, alias: str) -> str:
    found = registry.by_alias(alias)
    return found.version.number if found else ""
