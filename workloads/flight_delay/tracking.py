"""MLflow: the runs and the registry, as the steps use them."""

import os
from types import ModuleType
from typing import Any

CHAMPION = "champion"
PREVIOUS = "previous"


class TrackingError(Exception):
    """MLflow cannot be used; the message says why and what to check."""


def connect(experiment: str | None = None) -> ModuleType:
    """Return MLflow, connected to the server that MLFLOW_TRACKING_URI names.

    Args:
        experiment: experiment of the runs to come, made if it is not there, and restored with its
            runs if it was deleted: MLflow keeps the name until it is deleted for good.

    Raises:
        TrackingError: the variable is not set, or the server does not answer.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise TrackingError("MLFLOW_TRACKING_URI is not set; set it to MLflow's address")
    # MLflow reads it at import; a step talks to nobody but its own server.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import mlflow  # noqa: PLC0415

    try:
        if experiment:
            _restore(mlflow, experiment)
            mlflow.set_experiment(experiment)
    except mlflow.exceptions.MlflowException as error:
        raise TrackingError(
            f"MLflow cannot be used: {error}; check MLFLOW_TRACKING_URI and the experiment"
        ) from error
    return mlflow


def _restore(mlflow: ModuleType, experiment: str) -> None:
    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(experiment)
    if found is not None and found.lifecycle_stage == mlflow.entities.LifecycleStage.DELETED:
        print(f"MLflow's experiment {experiment} was deleted; it is restored for this run")
        try:
            client.restore_experiment(found.experiment_id)
        except mlflow.exceptions.MlflowException:
            # Another run of these minutes may have restored it.
            now = client.get_experiment(found.experiment_id)
            if now.lifecycle_stage == mlflow.entities.LifecycleStage.DELETED:
                raise


def champion(model_name: str) -> Any | None:
    """Return the registered version that holds the alias `champion`, or None.

    Raises:
        TrackingError: the server does not answer.
    """
    mlflow = connect()
    try:
        return mlflow.MlflowClient().get_model_version_by_alias(model_name, CHAMPION)
    except mlflow.exceptions.MlflowException as error:
        # A model that nobody registered, and an alias that nobody set.
        missing = error.error_code == "INVALID_PARAMETER_VALUE" and "not found" in str(error)
        if missing or error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise TrackingError(f"MLflow's registry cannot be read: {error}") from error
