"""The pipeline's Train step with a network: a job on two workers, whose model the step takes over.

What can be submitted is in the variable TRAINING_JOBS, which the stack sets: a JSON object of the
jobs' namespace and, by framework, their templates. Where there is no training operator it is empty.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from flight_delay import tracking
from flight_delay.train import Trained
from flight_training import settings, submit
from flight_training.errors import TrainingError
from flight_training.job import Training, manifest
from flight_training.pod_logs import PodLogs
from mlops_rollout.kubectl import Access

VARIABLE: Final = "TRAINING_JOBS"


def train(
    *, framework: str, data: str, training_months: str, network: Mapping[str, Any], experiment: str
) -> Trained:
    """Let a job train, and return its model.

    Args:
        framework: pytorch or tensorflow.
        data: folder or `s3://bucket/prefix` of the flights.
        training_months: as 3 or 1-3.
        network: hyperparameters that differ from `Settings`.
        experiment: MLflow's experiment.

    Raises:
        ServingError: the cluster does not answer, or refuses the job.
        TrackingError: MLflow does not answer.
        TrainingError: there is no training operator, or the job failed; its workers' last lines
            are told.
    """
    hyperparameters = settings.parse(network)
    jobs = json.loads(os.environ.get(VARIABLE) or "{}")
    if framework not in jobs.get("templates", {}):
        raise TrainingError(
            f"trainer is {framework}, and nothing here runs such jobs; set "
            "training-operator among mlops-platform:components, or use trainer sklearn"
        )
    # The step's own, so that another try of it finds the job of the try before.
    name = f"{framework}-{os.environ['KFP_RUN_ID'][:8]}"
    job = manifest(
        name,
        Training(
            framework=framework,
            data=data,
            training_months=training_months,
            # The next step judges it.
            evaluation_month=None,
            model_name=experiment,
            settings=hyperparameters,
        ),
        jobs["templates"][framework],
    )
    with PodLogs(Access(), jobs["namespace"]) as cluster:
        submit.start(cluster, job)
        submit.follow(cluster, job, lambda line: print(line, flush=True))
    run_id = _run_of(name, experiment)
    # Seconds, in which the job has long begun
    from mlflow import sklearn as flavour  # noqa: PLC0415

    return Trained(
        model=flavour.load_model(f"runs:/{run_id}/model"),
        hyperparameters=asdict(hyperparameters),
        validation=[],
        run_id=run_id,
    )


def _run_of(job: str, experiment: str) -> str:
    mlflow = tracking.connect(experiment)
    found = mlflow.search_runs(
        experiment_names=[experiment],
        filter_string=f"tags.training_job = '{job}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
        output_format="list",
    )
    if not found:
        raise TrainingError(f"{job} ended, but MLflow holds no run of it")
    return str(found[0].info.run_id)
