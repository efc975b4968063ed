"""Deploy: the model becomes the registered champion."""

from kfp import dsl

from flight_pipeline.settings import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def deploy(model: dsl.Input[dsl.Model], model_name: str) -> str:
    """Register the model, point the alias `champion` at it, and return the version."""
    from flight_delay.deploy import deploy as promote

    return promote(run_id=model.metadata["mlflow_run_id"], model_name=model_name)
