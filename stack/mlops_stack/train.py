"""`make train`: a distributed training, followed to its end."""

import time
from collections.abc import Mapping
from typing import Any, Final

from flight_delay import months
from flight_rollout.errors import ServingError
from flight_training import settings
from flight_training.errors import TrainingError
from mlops_stack import report, tracked
from mlops_stack.parameters import parse
from mlops_stack.pod_logs import PodLogs
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_workloads.rollout import access
from mlops_workloads.training_job import FRAMEWORKS, MOST_SECONDS, Training, manifest

_LOG_LINES: Final = 20
# Pods of a job that has ended are given this long to end too.
_LAST_WORDS_SECONDS: Final = 10


class TrainError(PulumiError):
    """Nothing was trained; the message says why and what to do."""


def train(stack: Stack, *, framework: str, training_months: str, assignments: list[str]) -> None:
    """Start a job on two workers, show their lines as they go, and end with the new version.

    Args:
        stack: the stack, which is up and has the training operator.
        framework: pytorch or tensorflow, as the user wrote it.
        training_months: as 3 or 1-3; empty for 1-3.
        assignments: hyperparameters as NAME=VALUE.

    Raises:
        PulumiError: the stack is not up.
        TrainError: a parameter is wrong, or the job failed.
    """
    if framework not in FRAMEWORKS:
        raise TrainError(
            f"FRAMEWORK={framework} is none; write FRAMEWORK={' or FRAMEWORK='.join(FRAMEWORKS)}"
        )
    chosen_months = training_months or "1-3"
    try:
        hyperparameters = settings.parse(parse(assignments))
        evaluation_month = months.parse(chosen_months).evaluate
    except (TrainingError, months.MonthsError) as error:
        raise TrainError(str(error)) from error
    outputs = _outputs(stack)
    name = f"{framework}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    job = manifest(
        name,
        Training(
            framework=framework,
            image=outputs["training_images"][framework],
            data=outputs["pipeline_data"]["data"],
            training_months=chosen_months,
            evaluation_month=evaluation_month,
            model_name=outputs["model_name"],
            settings=hyperparameters,
        ),
    )
    try:
        with (
            report.phase(f"{job['kind']} {name}, months {chosen_months}, two workers"),
            PodLogs(access(outputs["kubeconfig"]), outputs["training_namespace"]) as cluster,
        ):
            cluster.write("create", job)
            try:
                _follow(cluster, job["kind"], name, FRAMEWORKS[framework].first)
            except KeyboardInterrupt:
                cluster.run("delete", job["kind"], name, "--wait=false")
                report.plain(f"  {job['kind']} {name} was deleted")
                raise
    except ServingError as error:
        raise TrainError(str(error)) from error
    _show(stack, outputs, name)


def _outputs(stack: Stack) -> dict[str, Any]:
    outputs = stack.outputs_when_up()
    if not outputs.get("training_namespace"):
        raise TrainError(
            f"stack {stack.name} has no training operator; set `mlops-platform:trainingOperator: "
            f'"true"` in {stack.file().name} and run `make up STACK={stack.name}`'
        )
    if not outputs.get("training_images"):
        raise TrainError(
            f"the images of PyTorch and TensorFlow are for the embedded cluster, and stack "
            f"{stack.name} runs on another; submit jobs with images of your own to its namespace "
            f"{outputs['training_namespace']}"
        )
    return outputs


def _follow(cluster: PodLogs, kind: str, name: str, first_replica: str) -> None:
    """Show the first worker's lines until the job has ended.

    Raises:
        TrainError: the job failed or takes too long.
        ServingError: the cluster does not answer.
    """
    first = f"{name}-{first_replica.lower()}-0"
    end, shown, phases = time.monotonic() + MOST_SECONDS, 0, ""
    while time.monotonic() < end:
        pods, status = _pods(cluster, name), _status(cluster, kind, name)
        if (now := ", ".join(f"{pod} {phase}" for pod, phase in pods.items())) != phases:
            phases = now
            report.plain(f"  {now}")
        for pod, phase in pods.items():
            if phase != "Pending":
                cluster.follow(pod)
        ended = {"Succeeded", "Failed"} & {
            each["type"] for each in status.get("conditions", []) if each["status"] == "True"
        }
        if ended:
            cluster.wait(_LAST_WORDS_SECONDS)
        lines = cluster.lines(first)
        for line in lines[shown:]:
            report.plain(f"    {line}")
        shown = len(lines)
        if "Succeeded" in ended:
            return
        if ended:
            raise TrainError(_failure(cluster, name, status))
        time.sleep(1)
    raise TrainError(f"{kind} {name} did not end within {MOST_SECONDS} s")


def _pods(cluster: PodLogs, job: str) -> dict[str, str]:
    found = cluster.get("pods", f"--selector=training.kubeflow.org/job-name={job}")
    return {pod["metadata"]["name"]: pod["status"].get("phase", "Pending") for pod in found}


def _status(cluster: PodLogs, kind: str, name: str) -> dict[str, Any]:
    found = cluster.get(kind, name)
    if not found:
        raise TrainError(f"{kind} {name} was deleted by somebody else")
    return dict(found[0].get("status") or {})


def _failure(cluster: PodLogs, name: str, status: Mapping[str, Any]) -> str:
    reasons = [each.get("message", "") for each in status["conditions"] if each["type"] == "Failed"]
    parts = [f"{name} failed: {' '.join(reasons)}"]
    for pod in cluster.pods:
        last = cluster.lines(pod)[-_LOG_LINES:]
        parts += [f"  last lines of {pod}:", *(f"    {line}" for line in last)]
    return "\n".join(parts)


def _show(stack: Stack, outputs: Mapping[str, Any], job: str) -> None:
    found = tracked.find(
        outputs["mlflow_url"], outputs["model_name"], tag="training_job", value=job
    )
    if found is None:
        raise TrainError(f"{job} ended, but MLflow holds no run of it; see {outputs['mlflow_url']}")
    version = found.tags["registered_version"]
    report.plain("")
    report.table(
        [
            ("Metrics", found.headline()),
            ("Model", f"version {version} of {outputs['model_name']}, not promoted"),
            ("MLflow", found.url),
        ]
    )
    if outputs.get("gateway_url"):
        report.plain("Next:")
        report.table(
            [
                (
                    f"make canary VERSION={version}{stack.make_argument}",
                    "it serves beside the champion",
                )
            ]
        )
