"""Kubeflow's UI in a browser, on a run that has finished.

MLOPS_E2E_STACK=NAME uses a stack that is up instead of one of its own. MLOPS_SCREENSHOTS=FOLDER
keeps pictures of what the tests see.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Request, expect

from mlops_platform.serving import rollout
from mlops_rollout.errors import ServingError
from mlops_rollout.kubectl import Kubectl
from tests.e2e import browser, store
from tests.e2e.browser import CHECK_MARK, keep
from tests.e2e.conftest import CHECKOUT, EVIDENCE
from tests.e2e.serving import wait

pytestmark = [pytest.mark.e2e, pytest.mark.pages, pytest.mark.timeout(1500)]

_RUN_SECONDS = 300
_DELETE_SECONDS = 120
_LAST_LINES = ("--tail", "40", "--timestamps")
# What a page of the UI is answered by.
_ANSWERING = (
    "app=ml-pipeline-ui",
    "app=metadata-proxy",
    "component=metadata-grpc-server",
    "app=ml-pipeline",
)


@pytest.fixture(scope="module", name="outputs")
def its_outputs(whole_outputs: dict[str, Any]) -> dict[str, Any]:
    return whole_outputs


@pytest.fixture(scope="module")
def url(outputs: dict[str, Any]) -> str:
    url = outputs["kubeflow_ui_url"]
    assert url, "the stack was made without the UI; run `make toolchain`"
    return str(url)


@pytest.fixture(scope="module")
def run_id(outputs: dict[str, Any]) -> str:
    """A run that has succeeded."""
    # In a process of its own: kfp and Pulumi each bring their google.rpc.Status.
    program = [sys.executable, "-W", "ignore", "-m", "tests.e2e.ui_pipeline"]
    finished = subprocess.run(
        [*program, outputs["kubeflow_url"]],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=_RUN_SECONDS,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.split()[-1]


@pytest.fixture(scope="module")
def kubectl(outputs: dict[str, Any]) -> Kubectl:
    return Kubectl(rollout.access(outputs["kubeconfig"]), "kubeflow")


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    with browser.new_page() as page:
        yield page


@pytest.fixture(autouse=True)
def _evidence(
    request: pytest.FixtureRequest, browser_page: Page, kubectl: Kubectl
) -> Iterator[None]:
    """Have at hand what a failure is to be explained from; it goes with the stack."""
    unanswered: dict[Request, float] = {}

    def begin(sent: Request) -> None:
        unanswered[sent] = time.monotonic()

    def end(sent: Request) -> None:
        unanswered.pop(sent, None)

    def tell() -> str:
        waiting = (
            f"unanswered for {time.monotonic() - began:.1f} s: {sent.method} {sent.url}"
            for sent, began in unanswered.items()
        )
        return "\n".join([*waiting, *_servers(kubectl)])

    request.node.stash[EVIDENCE] = tell
    listeners = {"request": begin, "requestfinished": end, "requestfailed": end}
    for event, listener in listeners.items():
        browser_page.on(event, listener)  # type: ignore[call-overload]
    yield
    for event, listener in listeners.items():
        browser_page.remove_listener(event, listener)


def _servers(kubectl: Kubectl) -> Iterator[str]:
    """Yield commands and what they print of the servers behind a page."""
    logs = [("logs", "--selector", pods, *_LAST_LINES) for pods in _ANSWERING]
    for words in (
        ("get", "pods", "--output", "wide"),
        ("get", "events", "--sort-by", "lastTimestamp", "--field-selector", "type!=Normal"),
        *logs,
        *((*words, "--previous") for words in logs),
    ):
        yield f"$ kubectl {' '.join(words)}"
        try:
            yield kubectl.run(*words)
        except ServingError as error:  # As where no container has ended: the rest is still shown.
            yield str(error)


@pytest.fixture
def page(browser_page: Page, url: str, run_id: str) -> Page:
    """The run's graph, freshly loaded."""
    browser_page.goto("about:blank")
    browser_page.goto(f"{url}/#/runs/details/{run_id}")
    _wait_for_graph(browser_page)
    return browser_page


def _node(page: Page, name: str) -> Any:
    """Return a node of the graph: of a task, or `TASK.ARTIFACT`."""
    kind = "artifact" if "." in name else "task"
    return page.locator(f'.react-flow__node[data-id="{kind}.{name}"]')


def _wait_for_graph(page: Page) -> None:
    """Return when a click on a node opens what ML Metadata knows of it.

    The graph is drawn from the pipeline's text first, and a panel that is opened before the states
    are there stays empty.
    """
    expect(_node(page, "evaluate").locator(CHECK_MARK)).to_be_attached()
    # The map in the corner may lie over a node.
    page.add_style_tag(content=".react-flow__minimap { pointer-events: none }")


def _open(page: Page, name: str, tab: str | None = None) -> Any:
    """Open a node's panel; return it."""
    _node(page, name).click()
    if tab:
        page.get_by_role("button", name=tab).click()
    return page.locator("body")


def test_the_graph_of_a_run(page: Page, run_id: str, url: str) -> None:
    nodes = {node.get_attribute("data-id") for node in page.locator(".react-flow__node").all()}
    assert nodes == {
        "task.make",
        "task.evaluate",
        "artifact.make.data",
        "artifact.evaluate.card",
        "artifact.evaluate.curve",
        "artifact.evaluate.metrics",
    }
    keep(page, "kubeflow-graph")


def test_a_page_asks_nobody_but_its_own_server(browser_page: Page, url: str, run_id: str) -> None:
    requests: list[str] = []
    browser_page.on("request", lambda request: requests.append(request.url))
    browser_page.goto("about:blank")
    browser_page.goto(f"{url}/#/runs/details/{run_id}")
    expect(_node(browser_page, "evaluate")).to_be_visible()
    assert any("ml_metadata" in request for request in requests)
    assert [r for r in requests if not r.startswith((url, "data:", "about:"))] == []


def test_a_steps_inputs_are_previewed(page: Page) -> None:
    panel = _open(page, "evaluate")
    expect(panel).to_contain_text("s3://pipelines/")
    expect(panel).to_contain_text("2,4")
    keep(page, "kubeflow-step")


def test_metrics_are_a_table(page: Page) -> None:
    panel = _open(page, "evaluate.metrics", "Visualization")
    expect(panel).to_contain_text("Scalar Metrics: metrics")
    expect(panel).to_contain_text("roc_auc")
    expect(panel).to_contain_text("0.7125")
    # It was no number.
    expect(panel).not_to_contain_text("precision")


def test_a_classifiers_metrics_are_charts(page: Page) -> None:
    panel = _open(page, "evaluate.curve", "Visualization")
    expect(panel).to_contain_text("ROC Curve: curve")
    expect(
        page.locator(".rv-xy-plot__series--line path, path.rv-xy-plot__series--line").first
    ).to_be_attached()
    expect(panel).to_contain_text("Confusion Matrix: curve")
    expect(panel).to_contain_text("93")
    keep(page, "kubeflow-metrics")


def test_a_page_of_html_is_shown(page: Page) -> None:
    _open(page, "evaluate.card", "Visualization")
    frame = page.frame_locator("iframe").first
    expect(frame.locator("h1")).to_have_text("Model card")
    keep(page, "kubeflow-html")


def test_logs_outlive_their_pods(page: Page, kubectl: Kubectl) -> None:
    panel = _open(page, "evaluate", "Logs")
    expect(panel).to_contain_text("evaluated 3 rows")
    steps = ("--selector", "workflows.argoproj.io/workflow")
    kubectl.run("delete", "pods", *steps, seconds=_DELETE_SECONDS)
    page.reload()
    _wait_for_graph(page)
    panel = _open(page, "evaluate", "Logs")
    expect(panel).to_contain_text("evaluated 3 rows")


@pytest.mark.parametrize("source", ["s3", "minio"])
def test_an_artifact_is_downloaded(
    url: str, run_id: str, outputs: dict[str, Any], source: str, kubectl: Kubectl
) -> None:
    path = _artifact(outputs, run_id, "/card")
    # A server that has shown no artifact yet, so that it knows what its environment tells it.
    kubectl.run("delete", "pods", "--selector", "app=ml-pipeline-ui", seconds=_DELETE_SECONDS)
    # The address answers later than the Deployment is ready.
    wait(lambda: _answers(url), "an answer of the UI's new server")
    answer = httpx.get(f"{url}/artifacts/{source}/pipelines/{path}", timeout=30)
    assert answer.status_code == 200
    assert "<h1>Model card</h1>" in answer.text


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/apis/v2beta1/healthz", timeout=5).is_success
    except httpx.TransportError:
        return False


def _artifact(outputs: dict[str, Any], run_id: str, ending: str) -> str:
    """Return the key of the run's object that ends so."""
    s3 = store.client(outputs)
    listed = s3.list_objects_v2(Bucket="pipelines", Prefix=f"artifacts/ui/{run_id}/")
    (key,) = [found["Key"] for found in listed["Contents"] if found["Key"].endswith(ending)]
    return str(key)


def test_the_server_fetches_no_address_that_a_visitor_names(url: str) -> None:
    answer = httpx.get(
        f"{url}/artifacts/get", params={"source": "http", "bucket": "127.0.0.1", "key": "x"}
    )
    assert answer.text == "Domain not allowed."
    assert httpx.get(f"{url}/apis/v2beta1/healthz").json()["apiServerReady"] is True


@pytest.mark.parametrize("source", ["s3", "minio"])
@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "https://s3.evil.example", "evil:9"])
def test_the_server_asks_no_store_that_a_visitor_names(
    url: str, run_id: str, outputs: dict[str, Any], source: str, endpoint: str
) -> None:
    place = {"bucket": "pipelines", "key": _artifact(outputs, run_id, "/card"), "source": source}
    given = {
        "fromEnv": "false",
        "secretName": "mlpipeline-minio-artifact",
        "accessKeyKey": "accesskey",
        "secretKeyKey": "secretkey",
        "endpoint": endpoint,
        "disableSSL": "true",
    }
    provider = json.dumps({"Provider": source, "Params": given})
    refused = httpx.get(
        f"{url}/artifacts/get",
        params={**place, "namespace": "kubeflow", "providerInfo": provider},
        timeout=30,
    )
    assert refused.status_code == 500
    assert "is not this installation's" in refused.text
    # Nor does it change where everybody else's requests go.
    answer = httpx.get(f"{url}/artifacts/get", params=place, timeout=30)
    assert "<h1>Model card</h1>" in answer.text
