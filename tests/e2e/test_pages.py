"""Every page that the stack prints, opened as a user opens it.

A page fails by an answer of 400 or more, by an error in the browser's console, and without its
content. MLOPS_E2E_STACK and MLOPS_SCREENSHOTS work as in `test_ui`.
"""

import re
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e import browser
from tests.e2e.browser import CHECK_MARK, keep

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

_MODEL = "flight-delay"
_SECONDS = 60


@pytest.fixture(scope="module")
def outputs(whole_outputs: dict[str, Any]) -> dict[str, Any]:
    return whole_outputs


@pytest.fixture(scope="module")
def opened() -> Iterator[Page]:
    with browser.new_page() as page:
        yield page


@pytest.fixture
def page(opened: Page) -> Iterator[Page]:
    opened.goto("about:blank")
    with browser.complaints(opened) as found:
        yield opened
        # What is still under way belongs to this page, not to the next test's.
        opened.goto("about:blank")
    assert not found, "\n".join(found)


class Mlflow:
    """The registry as its API has it: what the pages must show.

    Attributes:
        url: address of the page.
        version: the champion's version.
        run: its run.
        experiment: id of the run's experiment.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        alias = self.ask("GET", "registered-models/alias", name=_MODEL, alias="champion")
        self.version, self.run = alias["model_version"]["version"], alias["model_version"]["run_id"]
        found = self.ask("GET", "runs/get", run_id=self.run)["run"]
        self.experiment, self.run_name = found["info"]["experiment_id"], found["info"]["run_name"]

    def ask(self, method: str, call: str, /, **words: str) -> Any:
        address = f"{self.url}/api/2.0/mlflow/{call}"
        given = {"params": words} if method == "GET" else {"json": words}
        answer = httpx.request(method, address, timeout=_SECONDS, trust_env=False, **given)  # type: ignore[arg-type]
        assert answer.is_success, answer.text
        return answer.json()

    def plots(self) -> list[str]:
        listed = self.ask("GET", "artifacts/list", run_id=self.run, path="plots")
        return [entry["path"] for entry in listed["files"]]


@pytest.fixture(scope="module")
def mlflow(outputs: dict[str, Any]) -> Mlflow:
    return Mlflow(outputs["mlflow_url"])


def test_mlflow_lists_experiments(page: Page, mlflow: Mlflow) -> None:
    page.goto(f"{mlflow.url}/#/experiments")
    name = mlflow.ask("GET", "experiments/get", experiment_id=mlflow.experiment)
    expect(page.get_by_role("link", name=name["experiment"]["name"]).first).to_be_visible()
    keep(page, "mlflow-experiments")


def test_mlflow_lists_an_experiments_runs(page: Page, mlflow: Mlflow) -> None:
    page.goto(f"{mlflow.url}/#/experiments/{mlflow.experiment}/runs")
    expect(page.get_by_role("link", name=mlflow.run_name).first).to_be_visible()
    expect(page.get_by_text(re.compile(r"\d+ matching runs?"))).to_be_visible()
    keep(page, "mlflow-runs")


def test_mlflow_shows_an_experiments_overview(page: Page, mlflow: Mlflow) -> None:
    page.goto(f"{mlflow.url}/#/experiments/{mlflow.experiment}")
    expect(page.get_by_text("Overview").first).to_be_visible()
    expect(page.get_by_text("Failed to load")).to_have_count(0)


def test_mlflow_shows_a_run(page: Page, mlflow: Mlflow) -> None:
    page.goto(f"{mlflow.url}/#/experiments/{mlflow.experiment}/runs/{mlflow.run}")
    expect(page.get_by_text("roc_auc", exact=True).first).to_be_visible()
    expect(page.get_by_text("learning_rate", exact=True).first).to_be_visible()
    keep(page, "mlflow-run")


def test_mlflow_draws_a_runs_metrics(page: Page, mlflow: Mlflow) -> None:
    page.goto(f"{mlflow.url}/#/experiments/{mlflow.experiment}/runs/{mlflow.run}/model-metrics")
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    keep(page, "mlflow-metrics")


def test_mlflow_shows_a_runs_plots(page: Page, mlflow: Mlflow) -> None:
    plots = mlflow.plots()
    assert plots
    base = f"{mlflow.url}/#/experiments/{mlflow.experiment}/runs/{mlflow.run}/artifacts"
    page.goto(f"{base}/{plots[0]}")
    expect(page.get_by_text(plots[0].rpartition("/")[2]).first).to_be_visible()
    picture = page.locator(
        "img[src^='blob:'], img[src*='get-artifact'], .image-outer-container img"
    )
    expect(picture.first).to_be_visible()
    keep(page, "mlflow-plot")


def test_mlflow_lists_models(page: Page, mlflow: Mlflow) -> None:
    page.goto(f"{mlflow.url}/#/models")
    expect(page.get_by_role("link", name=_MODEL, exact=True).first).to_be_visible()
    page.goto(f"{mlflow.url}/#/models/{_MODEL}")
    expect(page.get_by_text("champion").first).to_be_visible()
    keep(page, "mlflow-model")


def test_mlflow_keeps_a_description(page: Page, mlflow: Mlflow) -> None:
    text = f"größe 航班 {secrets.token_hex(4)}"
    version = {"name": _MODEL, "version": mlflow.version}
    before = mlflow.ask("GET", "model-versions/get", **version)["model_version"]
    try:
        page.goto(f"{mlflow.url}/#/models/{_MODEL}/versions/{mlflow.version}")
        expect(page.get_by_text("Registered At")).to_be_visible()
        page.get_by_role("button", name="Edit", exact=True).click()
        page.locator("textarea").first.fill(text)
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator("textarea")).to_have_count(0)
        page.reload()
        expect(page.get_by_text(text)).to_be_visible()
        keep(page, "mlflow-version")
        stored = mlflow.ask("GET", "model-versions/get", **version)["model_version"]
        assert stored["description"] == text
    finally:
        mlflow.ask(
            "PATCH",
            "model-versions/update",
            **version,
            description=before.get("description", ""),
        )


def test_mlflow_makes_an_experiment(page: Page, mlflow: Mlflow) -> None:
    name = f"größe 航班 {secrets.token_hex(4)}"
    page.goto(f"{mlflow.url}/#/experiments")
    page.get_by_role("button", name="Create", exact=True).click()
    page.get_by_placeholder("Input an experiment name").fill(name)
    page.get_by_role("dialog").get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_text(name).first).to_be_visible()
    made = mlflow.ask("GET", "experiments/get-by-name", experiment_name=name)["experiment"]
    mlflow.ask("POST", "experiments/delete", experiment_id=made["experiment_id"])


@pytest.fixture(scope="module")
def kubeflow(outputs: dict[str, Any]) -> str:
    url = outputs["kubeflow_ui_url"]
    assert url, "the stack was made without the UI; run `make toolchain`"
    return str(url)


def test_a_notebook_opens_its_sample(page: Page, outputs: dict[str, Any]) -> None:
    address = httpx.URL(outputs["notebook_url"])
    page.goto(str(address.copy_with(path=f"{address.path.rstrip('/')}/tree/flight_delay.ipynb")))
    # JupyterLab has drawn the notebook's cells, and a kernel answers for it.
    expect(page.locator(".jp-Notebook .jp-Cell").first).to_be_visible()
    expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']")).to_be_visible()
    # Nothing is asked before the first cell can be run.
    expect(page.locator(".jp-Dialog, .Toastify__toast")).to_have_count(0)
    keep(page, "notebook")


@pytest.mark.parametrize("path", ["pipelines", "experiments", "runs", "recurringruns"])
def test_kubeflow_lists_what_its_api_has(page: Page, kubeflow: str, path: str) -> None:
    listed = httpx.get(f"{kubeflow}/apis/v2beta1/{path}", timeout=_SECONDS, trust_env=False).json()
    items = next((found for found in listed.values() if isinstance(found, list)), [])
    page.goto(f"{kubeflow}/#/{path}")
    if items:
        names = "|".join(re.escape(item["display_name"]) for item in items)
        expect(page.get_by_text(re.compile(names)).first).to_be_visible()
    keep(page, f"kubeflow-{path}")


@pytest.mark.parametrize(("path", "column"), [("artifacts", "URI"), ("executions", "State")])
def test_kubeflow_lists_what_ml_metadata_has(
    page: Page, kubeflow: str, path: str, column: str
) -> None:
    page.goto(f"{kubeflow}/#/{path}")
    expect(page.get_by_text(column, exact=True).first).to_be_visible()
    keep(page, f"kubeflow-{path}")


def _steps_are_in_view(page: Page) -> None:
    for step in ("champion", "preprocess", "train", "evaluate"):
        node = page.locator(f'.react-flow__node[data-id="task.{step}"]')
        expect(node).to_be_in_viewport(ratio=0.99)
        expect(node.locator(CHECK_MARK)).to_be_attached()


@pytest.mark.pages
def test_a_runs_steps_are_seen_at_once(page: Page, kubeflow: str, outputs: dict[str, Any]) -> None:
    page.goto(f"{kubeflow}/#/runs/details/{outputs['pipeline_run']}")
    _steps_are_in_view(page)
    for artifact in ("train.model", "evaluate.classification", "evaluate.report"):
        node = page.locator(f'.react-flow__node[data-id="artifact.{artifact}"]')
        expect(node).to_be_in_viewport(ratio=0.99)
    keep(page, "flight-delay-graph")


@pytest.mark.pages
def test_a_finished_frame_says_so_and_shows_its_content_when_opened(
    page: Page, kubeflow: str, outputs: dict[str, Any]
) -> None:
    page.goto(f"{kubeflow}/#/runs/details/{outputs['pipeline_run']}")
    _steps_are_in_view(page)
    page.get_by_text("root", exact=True).first.click()
    frame = page.locator('.react-flow__node[data-id="task.exit-handler-1"]')
    expect(frame).to_be_in_viewport(ratio=0.99)
    expect(frame.locator(CHECK_MARK)).to_be_attached()
    keep(page, "kubeflow-frame")
    frame.click()
    page.get_by_text("Open Sub-DAG").click()
    _steps_are_in_view(page)


@pytest.mark.pages
@pytest.mark.parametrize(
    ("node", "tab", "content"),
    [
        ("task.evaluate", "Input/Output", "s3://pipelines/"),
        ("task.train", "Logs", "KFP Executor"),
        ("artifact.evaluate.classification", "Visualization", "ROC Curve: classification"),
        ("artifact.evaluate.metrics", "Visualization", "Scalar Metrics: metrics"),
    ],
)
def test_a_steps_panels(
    page: Page, kubeflow: str, outputs: dict[str, Any], *, node: str, tab: str, content: str
) -> None:
    page.goto(f"{kubeflow}/#/runs/details/{outputs['pipeline_run']}")
    _steps_are_in_view(page)
    # The map in the corner may lie over a node.
    page.add_style_tag(content=".react-flow__minimap { pointer-events: none }")
    page.locator(f'.react-flow__node[data-id="{node}"]').click()
    page.get_by_role("button", name=tab).click()
    expect(page.locator("body")).to_contain_text(content)
    # Of the page, not of a step: its log may tell of failures.
    expect(
        page.get_by_text(re.compile("(Failed to|Error in) retriev|Cannot retriev"))
    ).to_have_count(0)
