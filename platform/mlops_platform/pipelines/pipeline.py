"""A pipeline in a stack: what its steps need, its version, schedule and run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pulumi
import pulumi_kubernetes as kubernetes
import yaml

from mlops_infra.buckets import Buckets
from mlops_infra.cluster import Cluster
from mlops_platform.component import Component
from mlops_platform.pipelines.kubeflow_pipeline import PipelineRun, PipelineVersion, RecurringRun
from mlops_platform.pipelines.kubeflow_pipelines import KubeflowPipelines
from mlops_platform.tracking.mlflow import Mlflow
from mlops_platform.tracking.model_version import ModelVersion
from mlops_rollout import deploy_step, step_environment


@dataclass(frozen=True, kw_only=True)
class PipelineArgs:
    """What a pipeline needs.

    Attributes:
        name: its name in Kubeflow, and of its experiment there.
        description: what it does.
        compiled: the compiled pipeline, as YAML.
        images: image as the compiled pipeline names it, to the toolchain's name of it.
        cluster: where it runs.
        kubeflow: what runs it.
        mlflow: where it is tracked and its model registered.
        buckets: what its steps read and write.
        model_name: the registered model that it trains.
        servers: what serves the model, as `ModelServer.settings` has it.
        serving: what must be there before a version can be deployed.
        parameters: what every run is given.
        variables: further variables of the ConfigMap.
        schedule: when it runs by itself, as cron with seconds; empty for never.
        run: whether `up` runs it and waits.
    """

    name: str
    description: str
    compiled: str
    images: Mapping[str, str]
    cluster: Cluster
    kubeflow: KubeflowPipelines
    mlflow: Mlflow
    buckets: Buckets
    model_name: str
    servers: pulumi.Input[Sequence[dict[str, Any]]]
    serving: Sequence[pulumi.Resource]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    schedule: str = ""
    run: bool = True


class Pipeline(Component):
    """The pipeline, uploaded and, if wanted, run to its end.

    Attributes:
        version: the uploaded version.
        run: the run that `up` waited for, or None.
        model: the champion after that run, or None.
    """

    version: PipelineVersion
    run: PipelineRun | None
    model: ModelVersion | None

    TOKEN: ClassVar = "mlops:platform:Pipeline"  # noqa: S105 - a resource's type

    def __init__(
        self, name: str, args: PipelineArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.cluster, opts)
        needed = _environment(name, args, self.child)
        # Objects in Kubeflow's database go with the cluster, as those in Kubernetes' do.
        child = pulumi.ResourceOptions.merge(
            pulumi.ResourceOptions(parent=self, depends_on=needed), args.cluster.child_options()
        )
        self.version = PipelineVersion(
            f"{name}-version",
            api_url=args.kubeflow.url,
            pipeline=args.name,
            description=args.description,
            content=_content(args),
            opts=child,
        )
        if args.schedule:
            RecurringRun(
                f"{name}-schedule",
                version=self.version,
                experiment=args.name,
                parameters=args.parameters,
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
                experiment=args.name,
                parameters=args.parameters,
                # Its Deploy step rolls the model out.
                opts=pulumi.ResourceOptions.merge(
                    child, pulumi.ResourceOptions(depends_on=list(args.serving))
                ),
            )
            self.model = ModelVersion(
                f"{name}-model",
                tracking_uri=args.mlflow.url,
                model=args.model_name,
                after=self.run.run_id,
                opts=child,
            )
        self.register_outputs({"version": self.version.version})

    @property
    def outputs(self) -> dict[str, Any]:
        """What a stack tells of it, by the names of `WorkloadOutputs`."""
        told: dict[str, Any] = {
            "pipeline_version": self.version.version,
            "pipeline_id": self.version.pipeline_id,
            "pipeline_version_id": self.version.version_id,
        }
        if self.run and self.model:
            told |= {
                "pipeline_run": self.run.run_id,
                "pipeline_seconds": self.run.seconds,
                "model_version": self.model.version,
                "model_run": self.model.run_id,
                "model_metrics": self.model.metrics,
            }
        return told


def _content(args: PipelineArgs) -> str:
    """Return the compiled pipeline as this stack runs it."""
    content = args.compiled
    for written, name in args.images.items():
        content = content.replace(written, args.cluster.image(name))
    if not args.buckets.store.keyless:
        return content
    # Steps use their Pod's identity; a Secret that is not there would keep them from starting.
    spec, options = yaml.safe_load_all(content)
    for executor in options["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        executor.pop("secretAsEnv", None)
    return str(yaml.safe_dump_all([spec, options], sort_keys=False))


def _environment(
    name: str, args: PipelineArgs, child: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    store = args.buckets.store
    needed: list[pulumi.Resource] = [
        kubernetes.core.v1.ConfigMap(
            f"{name}-addresses",
            metadata={
                "name": step_environment.config_map(args.name),
                "namespace": args.kubeflow.namespace,
            },
            data={
                "AWS_ENDPOINT_URL": store.cluster_endpoint,
                "AWS_DEFAULT_REGION": store.region,
                "KFP_API_URL": args.kubeflow.cluster_url,
                "MLFLOW_TRACKING_URI": args.mlflow.cluster_url,
                # A server that fails has a reason; seven retries only hide it for minutes.
                "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
                deploy_step.VARIABLE: pulumi.Output.json_dumps(args.servers, sort_keys=True),
                **args.variables,
            },
            opts=child,
        ),
    ]
    if not store.keyless:
        keys = kubernetes.core.v1.Secret(
            f"{name}-object-store",
            metadata={
                "name": step_environment.secret(args.name),
                "namespace": args.kubeflow.namespace,
            },
            string_data={
                "AWS_ACCESS_KEY_ID": store.access_key,
                "AWS_SECRET_ACCESS_KEY": store.secret_key,
            },
            opts=child,
        )
        needed.append(keys)
    return needed
