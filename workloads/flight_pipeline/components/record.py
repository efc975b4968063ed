"""Record: how the run ended, whatever happened."""

from kfp import dsl

from flight_pipeline.settings import IMAGE


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def record(folder: str, run_id: str, status: dsl.PipelineTaskFinalStatus) -> str:
    """Write the outcome as JSON into the folder, and return its address."""
    from flight_delay.outcome import record as write

    outcome = {
        "run_id": run_id,
        "state": status.state,
        "pipeline": status.pipeline_job_resource_name,
        "error": {"code": status.error_code, "message": status.error_message},
    }
    return write(outcome, folder=folder, run_id=run_id)
