"""`make train`: a distributed training, followed to its end."""

import time
from collections.abc import Mapping
from typing import Any, Final

from flight_delay import months
from flight_training import settings, submit
from flight_training.errors import TrainingError
from flight_training.job import FRAMEWORKS, Training, manifest
from flight_training.pod_logs import PodLogs
from mlops_platform.serving.rollout import access
from mlops_rollout.errors import ServingError
from mlops_stack import mlflow_runs, report
from mlops_stack.outputs import StackOutputs, WorkloadOutputs
from mlops_stack.parameters import parse
from mlops_stack.pulumi_cli import PulumiError, Stack

# The only one that trains networks.
_WORKLOAD: Final = "flight-delay"


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
    outputs = StackOutputs.read(stack.outputs_when_up())
    has = outputs.workload(_WORKLOAD)
    jobs = jobs_of(stack, has)
    name = f"{framework}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    job = manifest(
        name,
        Training(
            framework=framework,
            data=has.pipeline_data["data"],
            training_months=chosen_months,
            evaluation_month=evaluation_month,
            model_name=has.model_name,
            settings=hyperparameters,
        ),
        jobs["templates"][framework],
    )
    try:
        with (
            report.phase(f"{job['kind']} {name}, months {chosen_months}, two workers"),
            PodLogs(access(outputs.kubeconfig), jobs["namespace"]) as cluster,
        ):
            submit.start(cluster, job)
            try:
                submit.follow(cluster, job, lambda line: report.plain(f"  {line}"))
            except KeyboardInterrupt:
                cluster.run("delete", job["kind"], name, "--wait=false")
                report.plain(f"  {job['kind']} {name} was deleted")
                raise
    except (ServingError, TrainingError) as error:
        raise TrainError(str(error)) from error
    _show(stack, outputs, has.model_name, name)


def jobs_of(stack: Stack, has: WorkloadOutputs) -> Mapping[str, Any]:
    """Return namespace and templates of the stack's distributed trainings.

    Raises:
        TrainError: the stack can run none; the message says what to set.
    """
    jobs = has.training_jobs
    if not jobs:
        raise TrainError(
            f"stack {stack.name} has no training operator; add training-operator to "
            f"`mlops-platform:components` in {stack.file().name} and run "
            f"`make up STACK={stack.name}`"
        )
    if not jobs["templates"]:
        raise TrainError(
            f"the images of PyTorch and TensorFlow are for the embedded cluster, and stack "
            f"{stack.name} runs on another; submit jobs with images of your own to its namespace "
            f"{jobs['namespace']}"
        )
    return jobs


def _show(stack: Stack, outputs: StackOutputs, model: str, job: str) -> None:
    found = mlflow_runs.find(outputs.mlflow_url, model, tag="training_job", value=job)
    if found is None:
        raise TrainError(f"{job} ended, but MLflow holds no run of it; see {outputs.mlflow_url}")
    version = found.tags["registered_version"]
    report.plain("")
    report.table(
        [
            ("Metrics", found.headline()),
            ("Model", f"version {version} of {model}, not promoted"),
            ("MLflow", found.url),
        ]
    )
    if outputs.gateway_url:
        report.plain("Next:")
        report.table(
            [
                (
                    f"make canary VERSION={version}{stack.make_argument}",
                    "it serves beside the champion",
                )
            ]
        )
