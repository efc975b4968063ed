"""A distributed training as an object of the cluster: which kind, and what its workers are told.

What Pods and images look like is the stack's word: it gives a template for each framework.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from flight_training.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Framework:
    """How the training operator calls a framework's jobs.

    Attributes:
        kind: the job's.
        replicas: the field of its replicas.
        container: the name that its container must have.
        first: the replica that tracks the model.
    """

    kind: str
    replicas: str
    container: str
    first: str


FRAMEWORKS: Final[Mapping[str, Framework]] = {
    "pytorch": Framework(
        kind="PyTorchJob", replicas="pytorchReplicaSpecs", container="pytorch", first="Master"
    ),
    "tensorflow": Framework(
        kind="TFJob", replicas="tfReplicaSpecs", container="tensorflow", first="Chief"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a job trains.

    Attributes:
        framework: a key of `FRAMEWORKS`.
        data: folder or `s3://bucket/prefix` of the flights.
        training_months: as 3 or 1-3.
        evaluation_month: month on which the network is judged before it is registered, 1 to 12;
            None for a network that is only tracked, as a pipeline judges it in another step.
        model_name: registered model, and MLflow's experiment.
        settings: the network's hyperparameters.
    """

    framework: str
    data: str
    training_months: str
    evaluation_month: int | None
    model_name: str
    settings: Settings


def manifest(name: str, training: Training, template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the job, as in YAML.

    Args:
        name: of the job.
        training: what it trains.
        template: a job of that framework whose workers are told nothing yet.
    """
    job = copy.deepcopy(dict(template))
    job["metadata"]["name"] = name
    for replica in job["spec"][FRAMEWORKS[training.framework].replicas].values():
        (container,) = replica["template"]["spec"]["containers"]
        container["args"] = _arguments(name, training)
    return job


def _arguments(name: str, training: Training) -> list[str]:
    options = {
        "--framework": training.framework,
        "--data": training.data,
        "--training-months": training.training_months,
        "--model-name": training.model_name,
        "--job": name,
        "--settings": json.dumps(asdict(training.settings)),
    }
    if training.evaluation_month is not None:
        options["--evaluation-month"] = str(training.evaluation_month)
    return [word for pair in options.items() for word in pair]
