"""Record: how the run ended, whatever happened."""

from kfp import dsl

from flight_pipeline.settings import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def record(folder: str, run_id: str) -> str:
    """Write the outcome as JSON into the folder, and return its address."""
    import os

    from flight_delay.outcome import record as write

    return write(run_id=run_id, api_url=os.environ["KFP_API_URL"], folder=folder)
