"""The pipeline's Deploy step: a version is registered, rolled out, and only then the champion."""

from flight_delay import deploy as registering
from flight_delay import labelled_sample
from mlops_rollout import deploy_step


def deploy(*, run_id: str, model_name: str, data: str, canary_percent: int) -> str:
    """Register a run's model, serve it, and promote it.

    Args:
        run_id: MLflow's run that holds the model.
        model_name: registered model.
        data: folder or `s3://bucket/prefix` of the flights that it is tested with.
        canary_percent: see `mlops_rollout.deploy_step.serve`.

    Returns:
        The registered version.

    Raises:
        ServingError: it does not serve; the champion serves on.
        TrackingError: MLflow does not answer or the run has no model.
    """
    version = registering.register(run_id=run_id, model_name=model_name)
    served = deploy_step.serve(
        version,
        model_name=model_name,
        sample=lambda: labelled_sample.read(data),
        canary_percent=canary_percent,
    )
    if not served:  # as on a laptop
        registering.promote(version=version, model_name=model_name)
    return version
