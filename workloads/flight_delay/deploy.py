"""Fourth step: the better model is registered, and becomes the champion."""

from flight_delay import tracking


def register(*, run_id: str, model_name: str) -> str:
    """Register the model of an MLflow run.

    Doing it again for the same run changes nothing: a retried step registers no second version.

    Args:
        run_id: MLflow's run that holds the model as `model`.
        model_name: name in the registry, made if it is not there.

    Returns:
        The registered version.

    Raises:
        TrackingError: MLflow does not answer or the run has no model.
    """
    mlflow = tracking.connect()
    try:
        for found in mlflow.MlflowClient().search_model_versions(f"run_id='{run_id}'"):
            if found.name == model_name:
                return str(found.version)
        return str(mlflow.register_model(f"runs:/{run_id}/model", model_name).version)
    except mlflow.exceptions.MlflowException as error:
        raise tracking.TrackingError(
            f"the model of run {run_id} cannot be registered as {model_name}: {error}"
        ) from error


def promote(*, version: str, model_name: str) -> None:
    """Let the alias `champion` point at a version, and `previous` at the champion of before.

    Raises:
        TrackingError: MLflow does not answer, or knows no such version.
    """
    before = tracking.champion(model_name)
    mlflow = tracking.connect()
    client = mlflow.MlflowClient()
    try:
        if before and str(before.version) != version:
            client.set_registered_model_alias(model_name, tracking.PREVIOUS, str(before.version))
        client.set_registered_model_alias(model_name, tracking.CHAMPION, version)
    except mlflow.exceptions.MlflowException as error:
        raise tracking.TrackingError(
            f"version {version} of {model_name} cannot be promoted: {error}"
        ) from error
