"""`make train`: a distributed training, followed to its end."""

import time
from collections.abc import Mapping
from typing import Any, Final

from flight_delay import months
from flight_rollout.errors import ServingError
from flight_rollout.kubectl import Kubectl
from flight_training import settings
from flight_training.errors import TrainingError
from mlops_stack import report, tracked
from mlops_stack.parameters import parse
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_workloads.rollout import access
from mlops_workloads.training_job import FRAMEWORKS, MOST_SECONDS, Training, manifest

_LOG_LINES: Final = 20


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
    kubectl = Kubectl(access(outputs["kubeconfig"]), outputs["training_namespace"])
    try:
        with report.phase(f"{job['kind']} {name}, months {chosen_months}, two workers"):
            kubectl.write("create", job)
            try:
                _follow(kubectl, job["kind"], name, FRAMEWORKS[framework].first)
            except KeyboardInterrupt:
                kubectl.run("delete", job["kind"], name, "--wait=false")
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


def _follow(kubectl: Kubectl, kind: str, name: str, first_replica: str) -> None:
    """Show the first worker's lines until the job has ended.

    Raises:
        TrainError: the job failed or takes too long.
        ServingError: the cluster does not answer.
    """
    first = f"{name}-{first_replica.lower()}-0"
    end, shown, phases = time.monotonic() + MOST_SECONDS, 0, ""
    # Read as they come: the operator may delete the Pods of a job that failed at once.
    logs: dict[str, list[str]] = {}
    failed: set[str] = set()
    while time.monotonic() < end:
        pods, status = _pods(kubectl, name), _status(kubectl, kind, name)
        if (now := ", ".join(f"{pod} {phase}" for pod, phase in pods.items())) != phases:
            phases = now
            report.plain(f"  {now}")
        ended = {"Succeeded", "Failed"} & {
            each["type"] for each in status.get("conditions", []) if each["status"] == "True"
        }
        failed |= {pod for pod, phase in pods.items() if phase == "Failed"}
        for pod, phase in pods.items():
            if phase in ("Running", "Succeeded", "Failed"):
                logs[pod] = _log(kubectl, pod) or logs.get(pod, [])
        lines = logs.get(first, [])
        for line in lines[shown:]:
            report.plain(f"    {line}")
        shown = len(lines)
        if "Succeeded" in ended:
            return
        if ended:
            raise TrainError(
                _failure(name, status, {pod: logs.get(pod, []) for pod in failed or logs})
            )
        time.sleep(1)
    raise TrainError(f"{kind} {name} did not end within {MOST_SECONDS} s")


def _pods(kubectl: Kubectl, job: str) -> dict[str, str]:
    found = kubectl.get("pods", f"--selector=training.kubeflow.org/job-name={job}")
    return {pod["metadata"]["name"]: pod["status"].get("phase", "") for pod in found}


def _status(kubectl: Kubectl, kind: str, name: str) -> dict[str, Any]:
    found = kubectl.get(kind, name)
    if not found:
        raise TrainError(f"{kind} {name} was deleted by somebody else")
    return dict(found[0].get("status") or {})


def _log(kubectl: Kubectl, pod: str) -> list[str]:
    """Return a Pod's lines; none when it is gone or has not begun."""
    try:
        return kubectl.run("logs", pod).splitlines()
    except ServingError:
        return []


def _failure(name: str, status: Mapping[str, Any], logs: Mapping[str, list[str]]) -> str:
    reasons = [each.get("message", "") for each in status["conditions"] if each["type"] == "Failed"]
    parts = [f"{name} failed: {' '.join(reasons)}"]
    for pod, lines in sorted(logs.items()):
        parts += [f"  last lines of {pod}:", *(f"    {line}" for line in lines[-_LOG_LINES:])]
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
