"""The flight-delay pipeline in a stack: what its steps need, its version, schedule and run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pulumi
import pulumi_kubernetes as kubernetes
import yaml

from flight_pipeline.compile import COMPILED
from flight_pipeline.parameters import validate
from flight_pipeline.settings import CONFIG_MAP, IMAGE, NAME, SECRET
from flight_rollout import deploy_step
from flight_training import train_step
from mlops_infra.buckets import Buckets
from mlops_infra.cluster import Cluster
from mlops_infra.image import Image
from mlops_platform.component import Component
from mlops_platform.kubeflow_pipelines import KubeflowPipelines
from mlops_platform.mlflow import Mlflow
from mlops_workloads.dataset import Dataset
from mlops_workloads.kubeflow_pipeline import PipelineRun, PipelineVersion, RecurringRun
from mlops_workloads.model_version import ModelVersion

_IMAGE = "flights"


@dataclass(frozen=True, kw_only=True)
class FlightDelayPipelineArgs:
    """What the pipeline needs.

    Attributes:
        cluster: where it runs.
        kubeflow: what runs it.
        mlflow: where it is tracked and its model registered.
        buckets: where the outcome of each run is written.
        dataset: the flights.
        servers: what serves the model, as `ModelServer.settings` has it.
        training_jobs: what trains networks, as `TrainingJobs.settings` has it; empty for nothing.
        serving: what must be there before a version can be deployed.
        parameters: changes of the pipeline's defaults.
        schedule: when it runs by itself, as cron with seconds; empty for never.
        run: whether `up` runs it and waits.
    """

    cluster: Cluster
    kubeflow: KubeflowPipelines
    mlflow: Mlflow
    buckets: Buckets
    dataset: Dataset
    servers: pulumi.Input[Sequence[dict[str, Any]]]
    training_jobs: pulumi.Input[Mapping[str, Any]]
    serving: Sequence[pulumi.Resource]
    parameters: Mapping[str, Any]
    schedule: str
    run: bool


class FlightDelayPipeline(Component):
    """The pipeline, uploaded and, if wanted, run to its end.

    Attributes:
        data: the parameters that say where data and outcomes are, the same for every run.
        version: the uploaded version.
        run: the run that `up` waited for, or None.
        model: the champion after that run, or None.
    """

    data: dict[str, pulumi.Input[str]]
    version: PipelineVersion
    run: PipelineRun | None
    model: ModelVersion | None

    TOKEN: ClassVar = "mlops:workloads:FlightDelayPipeline"  # noqa: S105 - a resource's type
    IMAGES: ClassVar = (Image(_IMAGE),)

    def __init__(
        self,
        name: str,
        args: FlightDelayPipelineArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register everything.

        Raises:
            ParametersError: a parameter is unknown or out of bounds.
        """
        parameters = validate(args.parameters)
        super().__init__(name, args.cluster, opts)
        needed = _environment(name, args, pulumi.ResourceOptions(parent=self))
        # Objects in Kubeflow's database go with the cluster, as those in Kubernetes' do.
        child = pulumi.ResourceOptions.merge(
            pulumi.ResourceOptions(parent=self, depends_on=needed), args.cluster.object_options()
        )
        self.version = PipelineVersion(
            f"{name}-version",
            api_url=args.kubeflow.url,
            pipeline=NAME,
            description="Predicts which flights out of New York arrive late",
            content=_content(args),
            opts=child,
        )
        self.data = {
            "data": args.dataset.uri,
            "outcomes": pulumi.Output.format("s3://{0}/outcomes", args.buckets.pipelines),
        }
        given = {**parameters, **self.data}
        if args.schedule:
            RecurringRun(
                f"{name}-schedule",
                version=self.version,
                experiment=NAME,
                parameters=given,
                cron=args.schedule,
                enabled=True,
                opts=child,
            )
        self.run = self.model = None
        if args.run:
            self.run = PipelineRun(
                f"{name}-run",
                version=self.version,
                kubeconfig=args.cluster.kubeconfig,
                experiment=NAME,
                parameters=given,
                # Its Deploy step rolls the model out.
                opts=pulumi.ResourceOptions.merge(
                    child, pulumi.ResourceOptions(depends_on=list(args.serving))
                ),
            )
            self.model = ModelVersion(
                f"{name}-model",
                tracking_uri=args.mlflow.url,
                model=str(parameters["model_name"]),
                after=self.run.run_id,
                opts=child,
            )
        self.register_outputs({"version": self.version.version})


def _content(args: FlightDelayPipelineArgs) -> str:
    """Return the compiled pipeline as this stack runs it."""
    content = COMPILED.read_text().replace(IMAGE, args.cluster.image(_IMAGE))
    if not args.buckets.store.keyless:
        return content
    # Steps use their Pod's identity; a Secret that is not there would keep them from starting.
    spec, options = yaml.safe_load_all(content)
    for executor in options["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        executor.pop("secretAsEnv", None)
    return str(yaml.safe_dump_all([spec, options], sort_keys=False))


def _environment(
    name: str, args: FlightDelayPipelineArgs, child: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    store = args.buckets.store
    needed: list[pulumi.Resource] = [
        kubernetes.core.v1.ConfigMap(
            f"{name}-addresses",
            metadata={"name": CONFIG_MAP, "namespace": args.kubeflow.namespace},
            data={
                "AWS_ENDPOINT_URL": store.cluster_endpoint,
                "AWS_DEFAULT_REGION": store.region,
                "KFP_API_URL": args.kubeflow.cluster_url,
                "MLFLOW_TRACKING_URI": args.mlflow.cluster_url,
                # A server that fails has a reason; seven retries only hide it for minutes.
                "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
                deploy_step.VARIABLE: pulumi.Output.json_dumps(args.servers, sort_keys=True),
                train_step.VARIABLE: pulumi.Output.json_dumps(args.training_jobs, sort_keys=True),
            },
            opts=child,
        ),
    ]
    if not store.keyless:
        keys = kubernetes.core.v1.Secret(
            f"{name}-object-store",
            metadata={"name": SECRET, "namespace": args.kubeflow.namespace},
            string_data={
                "AWS_ACCESS_KEY_ID": store.access_key,
                "AWS_SECRET_ACCESS_KEY": store.secret_key,
            },
            opts=child,
        )
        needed.append(keys)
    return needed
