"""`make run`: one run of the uploaded pipeline, followed step by step."""

import json
import time
from typing import Any

import httpx

from flight_delay.parameters import ParametersError, validate
from flight_pipeline.settings import NAME
from mlops_stack import report
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_workloads import step_logs
from mlops_workloads.pipeline_runs import RunFailedError, run_to_end
from mlops_workloads.pipelines_api import PipelinesApi, PipelinesApiError

_HEADLINE = ("roc_auc", "average_precision", "brier_score", "log_loss")


class RunError(PulumiError):
    """A run was not started or did not succeed; the message says why and what to do."""


def run(stack: Stack, *, months: str, assignments: list[str]) -> None:
    """Start a run, show its steps as they go, and end with its model beside the champion.

    Args:
        stack: the stack, which is up.
        months: training months; empty for the pipeline's own.
        assignments: further parameters as NAME=VALUE, values as JSON or plain text.

    Raises:
        PulumiError: the stack is not up.
        RunError: a parameter is wrong, or the run failed.
    """
    outputs = stack.outputs() if stack.exists() else {}
    if outputs and stack.settings().layers != "all":
        raise PulumiError(f"stack {stack.name} has no pipelines: its layers are infra alone")
    if not outputs.get("pipeline_version_id"):
        raise PulumiError(f"stack {stack.name} is not up; run `make up STACK={stack.name}`")
    given = {"model_name": outputs["model_name"], **parse(assignments)}
    if months:
        given["training_months"] = months
    try:
        parameters = {**outputs["pipeline_data"], **validate(given)}
        run_id = _followed(outputs, parameters)
    except (ParametersError, PipelinesApiError, RunFailedError) as error:
        raise RunError(_with_link(str(error), outputs)) from error
    _show(outputs, run_id, parameters)


def parse(assignments: list[str]) -> dict[str, Any]:
    """Return parameters of the form NAME=VALUE; a value that is no JSON is text.

    Raises:
        RunError: one has another form.
    """
    found = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator or not name:
            raise RunError(f"{assignment!r} is not NAME=VALUE, for example iterations=200")
        try:
            found[name] = json.loads(text)
        except json.JSONDecodeError:
            found[name] = text
    return found


def _followed(outputs: dict[str, Any], parameters: dict[str, Any]) -> str:
    name = f"{NAME} {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())}"
    with report.phase(f"run {name}, months {parameters['training_months']}"):
        return run_to_end(
            PipelinesApi(outputs["kubeflow_url"]),
            name=name,
            experiment=NAME,
            pipeline=outputs["pipeline_id"],
            version=outputs["pipeline_version_id"],
            parameters=parameters,
            logs=step_logs.reader(outputs["kubeconfig"]),
            say=lambda line: report.plain(f"  {line}"),
        )


def _show(outputs: dict[str, Any], run_id: str, parameters: dict[str, Any]) -> None:
    rows = [("Run", _link(outputs, run_id))]
    found = _evaluated(outputs["mlflow_url"], parameters["model_name"], run_id)
    if found:
        metrics, tags, mlflow_run, experiment = found
        shown = ", ".join(f"{name} {metrics[name]:.3f}" for name in _HEADLINE if name in metrics)
        rows.append(("Metrics", shown))
        before = tags.get("champion_version")
        verdict = "promoted" if tags.get("better_than_champion") == "true" else "not promoted"
        percent = parameters["canary_percent"]
        if verdict == "promoted" and before and percent and outputs.get("gateway_url"):
            verdict = f"tried with {percent} % of the requests (`make promote`, `make rollback`)"
        against = (
            f"against version {before}, whose roc_auc is {metrics['champion_roc_auc']:.3f}"
            if before
            else "there was no champion"
        )
        rows.append(("Champion", f"{verdict}; {against}"))
        url = f"{outputs['mlflow_url']}/#/experiments/{experiment}/runs/{mlflow_run}"
        rows.append(("MLflow", url))
    report.plain("")
    report.table(rows)


def _evaluated(
    mlflow_url: str, experiment: str, run_id: str
) -> tuple[dict[str, float], dict[str, str], str, str] | None:
    """Return metrics, tags, run and experiment that a run's evaluation wrote to MLflow."""
    api = f"{mlflow_url}/api/2.0/mlflow"
    with httpx.Client(timeout=30) as client:
        answer = client.get(
            f"{api}/experiments/get-by-name", params={"experiment_name": experiment}
        )
        if answer.is_error:
            return None
        found = answer.json()["experiment"]["experiment_id"]
        query = {
            "experiment_ids": [found],
            "filter": f"tags.kfp_evaluation_run_id = '{run_id}'",
            "max_results": 1,
        }
        runs = client.post(f"{api}/runs/search", json=query).raise_for_status().json().get("runs")
    if not runs:
        return None
    data = runs[0]["data"]
    return (
        {m["key"]: m["value"] for m in data.get("metrics", [])},
        {t["key"]: t["value"] for t in data.get("tags", [])},
        runs[0]["info"]["run_id"],
        found,
    )


def _link(outputs: dict[str, Any], run_id: str) -> str:
    ui = outputs.get("kubeflow_ui_url")
    if ui:
        return f"{ui}/#/runs/details/{run_id}"
    return f"{outputs['kubeflow_url']}/apis/v2beta1/runs/{run_id}"


def _with_link(message: str, outputs: dict[str, Any]) -> str:
    ui = outputs.get("kubeflow_ui_url")
    return f"{message}\n  look at {ui}/#/runs" if ui and message.startswith("run ") else message
