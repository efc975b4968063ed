"""`make run`: one run of the uploaded pipeline, followed step by step."""

import sys
import time
from dataclasses import dataclass
from typing import Any, Final

from mlops_platform.pipelines import step_logs
from mlops_platform.pipelines.pipeline_runs import RunFailedError, run_to_end
from mlops_platform.pipelines.pipelines_api import PipelinesApi, PipelinesApiError
from mlops_rollout.registry import CHAMPION, RegisteredVersion, Registry, RegistryError
from mlops_stack import mlflow_runs, report, workload_choice
from mlops_stack.mlflow_runs import TrackedRun
from mlops_stack.outputs import StackOutputs, WorkloadOutputs
from mlops_stack.parameters import parse
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.train import jobs_of
from mlops_workloads.commands import ParametersError, WorkloadCommands

_INTERRUPTED: Final = 130


class RunError(PulumiError):
    """A run was not started or did not succeed; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Whose pipeline runs where.

    Attributes:
        stack: the stack, which is up.
        outputs: what it says of itself.
        workload: the workload.
        has: what the stack has of it.
    """

    stack: Stack
    outputs: StackOutputs
    workload: WorkloadCommands
    has: WorkloadOutputs


def run(stack: Stack, *, workload: str = "", months: str, assignments: list[str]) -> None:
    """Start a run, show its steps as they go, and end with its model beside the champion.

    A run with the same parameters that goes on is followed, instead of a second one. One that is no
    longer followed goes on too: the process then ends with how to follow it again, and to end it.

    Args:
        stack: the stack, which is up.
        workload: whose pipeline, as the user wrote it; empty for the only one.
        months: value of the parameter `training_months`; empty for the pipeline's own.
        assignments: further parameters as NAME=VALUE, values as JSON or plain text.

    Raises:
        PulumiError: the stack is not up.
        RunError: a parameter is wrong, or the run failed.
        TrainError: the parameters want a training operator, and there is none.
    """
    chosen = workload_choice.choose(workload)
    outputs = StackOutputs.read(stack.outputs() if stack.exists() else {})
    has = outputs.workload(chosen.NAME)
    if outputs.kubeconfig and stack.settings().layers != "all":
        raise PulumiError(f"stack {stack.name} has no pipelines: its layers are infra alone")
    if not has.pipeline_version_id:
        raise PulumiError(f"stack {stack.name} is not up; run `make up STACK={stack.name}`")
    target = Target(stack=stack, outputs=outputs, workload=chosen, has=has)
    given = {"model_name": has.model_name, **parse(assignments)}
    if months:
        given["training_months"] = months
    try:
        parameters = {**has.pipeline_data, **chosen.parameters(given)}
        if chosen.wants_training_jobs(parameters):
            jobs_of(stack, has)
        registry = Registry(outputs.mlflow_url, parameters["model_name"])
        champion = registry.by_alias(CHAMPION)
        unfair = _unfair(target, registry, champion, parameters)
        if unfair:
            report.plain(f"! {unfair}")
        run_id = _followed(target, parameters)
        found = _evaluation(
            target, run_id, parameters, champion=champion.version.number if champion else ""
        )
    except (ParametersError, PipelinesApiError, RegistryError, RunFailedError) as error:
        raise RunError(_with_link(str(error), outputs)) from error
    _show(outputs, run_id, parameters, found, unfair)


def _followed(target: Target, parameters: dict[str, Any]) -> str:
    outputs, has, pipeline = target.outputs, target.has, target.workload.NAME
    name = f"{pipeline} {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())}"
    summary = target.workload.summary(parameters)
    followed: list[str] = []

    def begun(run: str, resumed: bool) -> None:
        followed.append(run)
        if resumed:
            report.plain(
                f"  follows the run with these parameters that goes on: {_link(outputs, run)}"
            )

    try:
        with report.phase(", ".join(filter(None, (f"run {name}", summary)))):
            return run_to_end(
                PipelinesApi(outputs.kubeflow_url),
                name=name,
                experiment=pipeline,
                pipeline=has.pipeline_id,
                version=has.pipeline_version_id,
                parameters=parameters,
                logs=step_logs.reader(outputs.kubeconfig),
                say=lambda line: report.plain(f"  {line}"),
                resume=True,
                begun=begun,
            )
    except KeyboardInterrupt:
        report.error(_interrupted(target.stack, outputs, followed))
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


def _unfair(
    target: Target,
    registry: Registry,
    champion: RegisteredVersion | None,
    parameters: dict[str, Any],
) -> str:
    """Return what is wrong with comparing a model with the champion, or nothing."""
    if champion is None:
        return ""
    problem = target.workload.unfair(registry.parameters(champion), parameters)
    return f"champion, version {champion.version.number}: {problem}" if problem else ""


def _evaluation(
    target: Target, run_id: str, parameters: dict[str, Any], *, champion: str
) -> TrackedRun | None:
    """Return the model that a run evaluated, or whose evaluation it reused.

    A reused one is of an earlier run with the same parameters, against the champion that there was
    when this one began. It may have been evaluated against another since; then it is not known.
    """
    outputs, has = target.outputs, target.has
    evaluated = [run_id]
    evaluated += PipelinesApi(outputs.kubeflow_url).equal_runs(has.pipeline_version_id, parameters)
    for run in dict.fromkeys(evaluated):
        found = mlflow_runs.find(
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
    found: TrackedRun | None,
    unfair: str,
) -> None:
    rows = [("Run", _link(outputs, run_id))]
    if found:
        metrics, tags = found.metrics, found.tags
        rows.append(("Metrics", found.headline()))
        before = tags.get("champion_version")
        verdict = "promoted" if tags.get("better_than_champion") == "true" else "not promoted"
        percent = parameters.get("canary_percent", 0)
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
