"""Fourth step: the better model becomes the champion."""

from flight_delay import tracking


def deploy(*, run_id: str, model_name: str) -> str:
    """Register the model of an MLflow run and let the alias `champion` point at it.

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
    client = mlflow.MlflowClient()
    try:
        for found in client.search_model_versions(f"run_id='{run_id}'"):
            if found.name == model_name:
                version = str(found.version)
                break
        else:
            version = str(mlflow.register_model(f"runs:/{run_id}/model", model_name).version)
        client.set_registered_model_alias(model_name, tracking.CHAMPION, version)
    except mlflow.exceptions.MlflowException as error:
        raise tracking.TrackingError(
            f"the model of run {run_id} cannot be registered as {model_name}: {error}"
        ) from error
    return version
