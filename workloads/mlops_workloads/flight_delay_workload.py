"""The flight-delay workload: its data, its pipeline, its model on each engine, its notebook."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from flight_pipeline import settings as flight_pipeline
from mlops_infra.image import Part
from mlops_platform.kserve import KServe
from mlops_platform.notebook_controller import NotebookController
from mlops_platform.platform import Platform
from mlops_platform.seldon_core import MODEL_SERVER, SeldonCore
from mlops_platform.training_operator import TrainingOperator
from mlops_toolchain import datasets
from mlops_workloads.dataset import Dataset, DatasetArgs
from mlops_workloads.deployer import Deployer
from mlops_workloads.flight_delay_pipeline import FlightDelayPipeline, FlightDelayPipelineArgs
from mlops_workloads.model_server import Engine, ModelServer, ModelServerArgs
from mlops_workloads.notebook import Notebook, NotebookArgs
from mlops_workloads.rollout import Rollout
from mlops_workloads.serving_gateway import ServingGateway, ServingGatewayArgs
from mlops_workloads.training_jobs import TrainingJobs, TrainingJobsArgs

_DATASET = "nycflights13"


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


class FlightDelay:
    """The workload of flights out of New York.

    Args:
        args: see there.
    """

    def __init__(self, args: FlightDelayArgs) -> None:
        self._args = args

    @staticmethod
    def parts(components: Collection[type[Part]]) -> tuple[type[Part], ...]:
        """Return what it runs beside a stack's components."""
        serves = KServe in components or SeldonCore in components
        return (
            FlightDelayPipeline,
            *((ServingGateway,) if serves else ()),
            *((TrainingJobs,) if TrainingOperator in components else ()),
            *((Notebook,) if NotebookController in components else ()),
        )

    def deploy(self, platform: Platform) -> Mapping[str, Any]:
        """Register everything; return what the stack tells of it, by the names of its outputs."""
        args, cluster, buckets = self._args, platform.cluster, platform.buckets
        mlflow, kubeflow = platform.mlflow, platform.pipelines
        flights = Dataset(
            "flights",
            DatasetArgs(buckets=buckets, name=_DATASET, version=datasets.version(_DATASET)),
            cluster.object_options(),
        )
        deployer = Deployer(namespace=kubeflow.namespace, account=kubeflow.runner)
        servers = self._servers(platform, deployer)
        model_servers = pulumi.Output.all(*(server.settings for server in servers))
        gateway = (
            ServingGateway("gateway", ServingGatewayArgs(cluster=cluster, deployer=deployer))
            if servers
            else None
        )
        serving = [x for x in (platform.kserve, platform.seldon, gateway, *servers) if x]
        training_jobs = (
            TrainingJobs(
                "training-jobs",
                TrainingJobsArgs(
                    name=flight_pipeline.NAME,
                    cluster=cluster,
                    buckets=buckets,
                    namespace=platform.training.namespace,
                    tracking_uri=mlflow.cluster_url,
                    deployer=deployer,
                ),
            )
            if platform.training
            else None
        )
        pipeline = FlightDelayPipeline(
            "flight-delay",
            FlightDelayPipelineArgs(
                cluster=cluster,
                kubeflow=kubeflow,
                mlflow=mlflow,
                buckets=buckets,
                dataset=flights,
                servers=model_servers,
                training_jobs=training_jobs.settings if training_jobs else {},
                serving=serving,
                parameters={
                    "training_months": args.training_months,
                    "model_name": args.model_name,
                },
                schedule=args.schedule,
                run=args.run,
            ),
        )
        if gateway and pipeline.model:
            Rollout(
                "rollout",
                kubeconfig=cluster.kubeconfig,
                tracking_uri=mlflow.url,
                model=args.model_name,
                servers=model_servers,
                after=pulumi.Output.concat(pipeline.model.run_id, "/", pipeline.model.version),
                opts=pulumi.ResourceOptions.merge(
                    cluster.object_options(), pulumi.ResourceOptions(depends_on=serving)
                ),
            )
        notebook = self._notebook(platform, pipeline, gateway, servers)
        return {
            "model_name": args.model_name,
            "pipeline_version": pipeline.version.version,
            "pipeline_data": pipeline.data,
            "pipeline_id": pipeline.version.pipeline_id,
            "pipeline_version_id": pipeline.version.version_id,
            "training_jobs": training_jobs.settings if training_jobs else None,
            # With its token, which the summary does not print.
            "notebook_url": notebook.url if notebook else None,
            "notebook_address": notebook.address if notebook else None,
            **(_of_run(pipeline)),
            **(_of_gateway(gateway, servers, model_servers) if gateway else {}),
        }

    def _servers(self, platform: Platform, deployer: Deployer) -> list[ModelServer]:
        kserve, seldon = platform.kserve, platform.seldon
        found: tuple[tuple[Engine, KServe | SeldonCore | None, str], ...] = (
            ("kserve", kserve, kserve.runtime if kserve else ""),
            ("seldon", seldon, platform.cluster.image(MODEL_SERVER)),
        )
        return [
            ModelServer(
                f"{engine}-model",
                ModelServerArgs(
                    engine=engine,
                    cluster=platform.cluster,
                    buckets=platform.buckets,
                    namespace=component.namespace,
                    server=server,
                    name=flight_pipeline.NAME,
                    model_name=self._args.model_name,
                    log_rate=self._args.log_rate,
                    deployer=deployer,
                ),
            )
            for engine, component, server in found
            if component
        ]

    def _notebook(
        self,
        platform: Platform,
        pipeline: FlightDelayPipeline,
        gateway: ServingGateway | None,
        servers: list[ModelServer],
    ) -> Notebook | None:
        if platform.notebooks is None:
            return None
        addresses: dict[str, pulumi.Input[str]] = {
            "KFP_API_URL": platform.pipelines.cluster_url,
            "MLFLOW_TRACKING_URI": platform.mlflow.cluster_url,
            "MODEL_NAME": self._args.model_name,
            "FLIGHTS_DATA": pipeline.data["data"],
            "PIPELINE_OUTCOMES": pipeline.data["outcomes"],
        }
        if gateway:
            for server in servers:
                address = pulumi.Output.concat(gateway.cluster_url, server.path)
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


def _of_run(pipeline: FlightDelayPipeline) -> dict[str, Any]:
    if not pipeline.run or not pipeline.model:
        return {}
    return {
        "pipeline_run": pipeline.run.run_id,
        "pipeline_seconds": pipeline.run.seconds,
        "model_version": pipeline.model.version,
        "model_run": pipeline.model.run_id,
        "model_metrics": pipeline.model.metrics,
    }


def _of_gateway(
    gateway: ServingGateway, servers: list[ModelServer], settings: pulumi.Output[list[Any]]
) -> dict[str, Any]:
    return {
        "gateway_url": gateway.url,
        "model_servers": settings,
        **{f"{x.engine}_url": pulumi.Output.concat(gateway.url, x.path) for x in servers},
    }
