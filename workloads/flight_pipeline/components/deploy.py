"""Deploy: the model is registered, served, and becomes the champion."""

from kfp import dsl

from flight_pipeline.settings import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def deploy(
    model: dsl.Input[dsl.Model], model_name: str, data: str = "", canary_percent: int = 0
) -> str:
    """Register the model, let the model servers roll it out, promote it; return the version."""
    from flight_delay import deploy_step

    return deploy_step.deploy(
        run_id=model.metadata["mlflow_run_id"],
        model_name=model_name,
        data=data,
        canary_percent=canary_percent,
    )
