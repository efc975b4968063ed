"""What serves the model on one engine: its credentials, and who may deploy versions there."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra import keys_digest
from mlops_infra.buckets import Buckets
from mlops_infra.cluster import Cluster
from mlops_platform.component import Component
from mlops_platform.pipelines.pipeline_account import PipelineAccount
from mlops_rollout import engine as serving
from mlops_rollout import inference_service, rollout
from mlops_rollout.engines import ENGINES

Engine = Literal["kserve", "seldon"]


@dataclass(frozen=True, kw_only=True)
class ModelServerArgs:
    """What a model server needs.

    Attributes:
        engine: what serves it.
        cluster: where it runs.
        buckets: where models are, and the prediction log goes.
        namespace: namespace that the engine watches.
        server: Seldon's image of a server, or the name of KServe's runtime.
        name: the model's name in addresses and in Kubernetes; others in the namespace have others.
        model_name: registered model.
        runtime_class: Python class in the server that answers; empty for `mlops_serving`'s.
        log_rate: share of the predictions that the log keeps, 0 to 1.
        pipeline_account: who deploys versions from within the cluster.
    """

    engine: Engine
    cluster: Cluster
    buckets: Buckets
    namespace: pulumi.Input[str]
    server: str
    name: str
    model_name: str
    runtime_class: str
    log_rate: float
    pipeline_account: PipelineAccount


class ModelServer(Component):
    """The model on an engine, whatever its version.

    Which version serves is MLflow's to say, and `mlops_rollout` sees to it: in an update by the
    resource `Rollout`, in the cluster by the pipeline's Deploy step.

    Attributes:
        engine: what serves it.
        settings: what a rollout needs to know, as `mlops_rollout.engine.ModelServer` has it.
        path: its address behind the gateway.
    """

    engine: str
    settings: pulumi.Output[dict[str, Any]]
    path: pulumi.Output[str]

    TOKEN: ClassVar = "mlops:workloads:ModelServer"  # noqa: S105 - a resource's type

    def __init__(
        self, name: str, args: ModelServerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.cluster, opts)
        self.engine = args.engine
        credentials, keys = self._credentials(name, args)
        allowed = self._deployer_rights(name, args)
        self.settings = pulumi.Output.all(
            namespace=args.namespace,
            credentials=credentials,
            keys=keys,
            bucket=args.buckets.artifacts,
            allowed=allowed.id,
        ).apply(lambda values: asdict(_settings(args, values)))
        self.path = pulumi.Output.from_input(args.namespace).apply(
            lambda namespace: rollout.path(args.engine, str(namespace), args.name)
        )
        self.register_outputs({"settings": self.settings})

    def _credentials(
        self, name: str, args: ModelServerArgs
    ) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        """Register what a server reads the object store by; return its name and its digest."""
        store, on_kserve = args.buckets.store, args.engine == "kserve"
        child = pulumi.ResourceOptions(parent=self)
        values: dict[str, pulumi.Input[str]] = {
            "AWS_ACCESS_KEY_ID": store.access_key,
            "AWS_SECRET_ACCESS_KEY": store.secret_key,
            "AWS_ENDPOINT_URL": store.cluster_endpoint,
            "AWS_DEFAULT_REGION": store.region,
            "S3_VERIFY_SSL": "1" if store.secure else "0",
        }
        secret = kubernetes.core.v1.Secret(
            f"{name}-object-store",
            metadata={
                "name": f"{args.name}-object-store",
                "namespace": args.namespace,
                "annotations": inference_service.secret_annotations(
                    host=store.host, port=store.port, secure=store.secure, region=store.region
                )
                if on_kserve
                else {},
            },
            string_data=values,
            opts=child,
        )
        keys = keys_digest.digest(secret, values)
        if not on_kserve:
            return secret.metadata.name, keys
        account = kubernetes.core.v1.ServiceAccount(
            f"{name}-account",
            metadata={"name": f"{args.name}-object-store", "namespace": args.namespace},
            automount_service_account_token=False,
            secrets=[{"name": secret.metadata.name}],
            opts=child,
        )
        return account.metadata.name, keys

    def _deployer_rights(self, name: str, args: ModelServerArgs) -> kubernetes.rbac.v1.RoleBinding:
        engine = ENGINES[args.engine]
        rules: list[kubernetes.rbac.v1.PolicyRuleArgsDict] = [
            {
                "api_groups": [engine.API_VERSION.partition("/")[0]],
                "resources": [f"{engine.KIND.lower()}s"],
                "verbs": ["get", "list", "create", "delete"],
            },
            {"api_groups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
            {"api_groups": [""], "resources": ["pods", "services"], "verbs": ["get", "list"]},
            # A version is asked before the gateway knows it.
            {"api_groups": [""], "resources": ["pods/portforward"], "verbs": ["create"]},
        ]
        return args.pipeline_account.grant(
            f"{name}-deployer",
            args.namespace,
            rules,
            pulumi.ResourceOptions(parent=self),
            role=f"{args.name}-pipeline-steps",
        )


def _settings(args: ModelServerArgs, values: dict[str, Any]) -> serving.ModelServer:
    bucket = str(values["bucket"])
    return serving.ModelServer(
        engine=args.engine,
        namespace=str(values["namespace"]),
        server=args.server,
        model=args.model_name,
        credentials=str(values["credentials"]),
        artifacts=f"s3://{bucket}/mlflow",
        log_bucket=bucket,
        log_rate=args.log_rate,
        name=args.name,
        runtime_class=args.runtime_class,
        keys=str(values["keys"]),
    )
