"""`make run`: one run of the uploaded pipeline, followed step by step."""

import sys
import time
from typing import Any, Final

from flight_delay import months as splits
from flight_delay.months import MonthsError
from flight_pipeline.parameters import ParametersError, validate
from flight_pipeline.settings import NAME
from flight_rollout.registry import CHAMPION, Registered, Registry, RegistryError
from mlops_stack import report, tracked
from mlops_stack.outputs import StackOutputs
from mlops_stack.parameters import parse
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.tracked import Tracked
from mlops_stack.train import jobs_of
from mlops_workloads import step_logs
from mlops_workloads.pipeline_runs import RunFailedError, run_to_end
from mlops_workloads.pipelines_api import PipelinesApi, PipelinesApiError

_INTERRUPTED: Final = 130


class RunError(PulumiError):
    """A run was not started or did not succeed; the message says why and what to do."""


def run(stack: Stack, *, months: str, assignments: list[str]) -> None:
    """Start a run, show its steps as they go, and end with its model beside the champion.

    A run with the same parameters that goes on is followed, instead of a second one. One that is no
    longer followed goes on too: the process then ends with how to follow it again, and to end it.

    Args:
        stack: the stack, which is up.
        months: training months; empty for the pipeline's own.
        assignments: further parameters as NAME=VALUE, values as JSON or plain text.

    Raises:
        PulumiError: the stack is not up.
        RunError: a parameter is wrong, or the run failed.
        TrainError: the parameters want a training operator, and there is none.
    """
    outputs = StackOutputs.read(stack.outputs() if stack.exists() else {})
    if outputs.kubeconfig and stack.settings().layers != "all":
        raise PulumiError(f"stack {stack.name} has no pipelines: its layers are infra alone")
    if not outputs.pipeline_version_id:
        raise PulumiError(f"stack {stack.name} is not up; run `make up STACK={stack.name}`")
    given = {"model_name": outputs.model_name, **parse(assignments)}
    if months:
        given["training_months"] = months
    try:
        parameters = {**outputs.pipeline_data, **validate(given)}
        if parameters["trainer"] != "sklearn":
            jobs_of(stack, outputs)
        registry = Registry(outputs.mlflow_url, parameters["model_name"])
        champion = registry.by_alias(CHAMPION)
        unfair = _unfair(registry, champion, parameters["evaluation_month"])
        if unfair:
            report.plain(f"! {unfair}")
        run_id = _followed(stack, outputs, parameters)
        found = _evaluation(
            outputs, run_id, parameters, champion=champion.version.number if champion else ""
        )
    except (ParametersError, PipelinesApiError, RegistryError, RunFailedError) as error:
        raise RunError(_with_link(str(error), outputs)) from error
    _show(outputs, run_id, parameters, found, unfair)


def _followed(stack: Stack, outputs: StackOutputs, parameters: dict[str, Any]) -> str:
    name = f"{NAME} {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())}"
    followed: list[str] = []

    def begun(run: str, resumed: bool) -> None:
        followed.append(run)
        if resumed:
            report.plain(
                f"  follows the run with these parameters that goes on: {_link(outputs, run)}"
            )

    try:
        with report.phase(f"run {name}, months {parameters['training_months']}"):
            return run_to_end(
                PipelinesApi(outputs.kubeflow_url),
                name=name,
                experiment=NAME,
                pipeline=outputs.pipeline_id,
                version=outputs.pipeline_version_id,
                parameters=parameters,
                logs=step_logs.reader(outputs.kubeconfig),
                say=lambda line: report.plain(f"  {line}"),
                resume=True,
                begun=begun,
            )
    except KeyboardInterrupt:
        report.error(_interrupted(stack, outputs, followed))
        sys.exit(_INTERRUPTED)


def _interrupted(stack: Stack, outputs: StackOutputs, followed: list[str]) -> str:
    again = f"the same `make run{stack.make_argument} …` follows it again"
    if not followed:
        ui = outputs.kubeflow_ui_url or outputs.kubeflow_url
        return f"interrupted while the run was started; if {ui}/#/runs shows it, {again}"
    (run,) = followed
    return (
        f"interrupted; the run goes on: {_link(outputs, run)}\n"
        f"  {again}; this ends it:\n"
        f"  curl --request POST {outputs.kubeflow_url}/apis/v2beta1/runs/{run}:terminate"
    )


def _unfair(registry: Registry, champion: Registered | None, month: int) -> str:
    """Return what is wrong with the month that models are compared on, or nothing."""
    if champion is None:
        return ""
    trained = registry.parameters(champion).get("train_months", "")
    try:
        known = month in splits.parse(trained).train
    except MonthsError:
        return ""
    if not known:
        return ""
    return (
        f"month {month} evaluates, and the champion, version {champion.version.number}, was "
        f"trained on months {trained}: it knows these flights, and is hard to beat on them"
    )


def _evaluation(
    outputs: StackOutputs, run_id: str, parameters: dict[str, Any], *, champion: str
) -> Tracked | None:
    """Return the model that a run evaluated, or whose evaluation it reused.

    A reused one is of an earlier run with the same parameters, against the champion that there was
    when this one began. It may have been evaluated against another since; then it is not known.
    """
    evaluated = [run_id]
    evaluated += PipelinesApi(outputs.kubeflow_url).equal_runs(
        outputs.pipeline_version_id, parameters
    )
    for run in dict.fromkeys(evaluated):
        found = tracked.find(
            outputs.mlflow_url,
            parameters["model_name"],
            tag="kfp_evaluation_run_id",
            value=run,
        )
        if found and (run == run_id or found.tags.get("champion_version", "") == champion):
            return found
    return None


def _show(
    outputs: StackOutputs,
    run_id: str,
    parameters: dict[str, Any],
    found: Tracked | None,
    unfair: str,
) -> None:
    rows = [("Run", _link(outputs, run_id))]
    if found:
        metrics, tags = found.metrics, found.tags
        rows.append(("Metrics", found.headline()))
        before = tags.get("champion_version")
        verdict = "promoted" if tags.get("better_than_champion") == "true" else "not promoted"
        percent = parameters["canary_percent"]
        if verdict == "promoted" and before and percent and outputs.gateway_url:
            verdict = f"tried with {percent} % of the requests (`make promote`, `make rollback`)"
        against = (
            f"against version {before}, whose roc_auc is {metrics['champion_roc_auc']:.3f}"
            if before
            else "there was no champion"
        )
        rows.append(("Champion", f"{verdict}; {against}"))
        rows.append(("MLflow", found.url))
    else:
        rows.append(("Champion", "evaluated by an earlier run; its report is on this run's page"))
    if unfair:
        rows.append(("Comparison", f"not fair: {unfair}"))
    report.plain("")
    report.table(rows)


def _link(outputs: StackOutputs, run_id: str) -> str:
    ui = outputs.kubeflow_ui_url
    if ui:
        return f"{ui}/#/runs/details/{run_id}"
    return f"{outputs.kubeflow_url}/apis/v2beta1/runs/{run_id}"


def _with_link(message: str, outputs: StackOutputs) -> str:
    ui = outputs.kubeflow_ui_url
    return f"{message}\n  look at {ui}/#/runs" if ui and message.startswith("run ") else message
