"""The champion behind an address: deployed by version, tested, and only then asked."""

import json
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra.buckets import Buckets
from mlops_infra.cluster import Cluster
from mlops_workloads import inference_service
from mlops_workloads.gateway_configuration import Backend, Route
from mlops_workloads.model_version import ModelVersion
from mlops_workloads.served_version import ENGINES, ServedVersion
from mlops_workloads.serving_engine import ServedModel

_NAME = "flight-delay"
_CREDENTIALS = "flight-delay-object-store"
# Where MLflow's server keeps what its clients call mlflow-artifacts:/.
_ARTIFACTS = "mlflow-artifacts:"


@dataclass(frozen=True, kw_only=True)
class ModelServerArgs:
    """What a model server needs.

    Attributes:
        engine: what serves it.
        cluster: where it runs.
        buckets: where the model is, and its prediction log goes.
        namespace: namespace that the engine watches.
        server: Seldon's image of a server, or the name of KServe's runtime.
        model_name: registered model.
        model: its version to serve.
        log_rate: share of the predictions that the log keeps, 0 to 1.
    """

    engine: Literal["kserve", "seldon"]
    cluster: Cluster
    buckets: Buckets
    namespace: pulumi.Input[str]
    server: str
    model_name: str
    model: ModelVersion
    log_rate: float


class ModelServer(pulumi.ComponentResource):
    """One version of the model on an engine.

    A version is a SeldonDeployment or an InferenceService, with a name that no other had. A new
    one replaces the old one: it is made first, the gateway follows when it has passed its test,
    and the old one goes last. If it fails, the update ends with the reason, and the old one serves
    on.

    Attributes:
        engine: what serves it.
        route: its address in the gateway, known once the version has passed.
        version: the version that serves.
    """

    engine: str
    route: pulumi.Output[Route]
    version: pulumi.Output[str]

    def __init__(
        self, name: str, args: ModelServerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(
            "mlops:workloads:ModelServer",
            name,
            None,
            pulumi.ResourceOptions.merge(args.cluster.object_options(), opts),
        )
        self.engine, engine = args.engine, ENGINES[args.engine]
        credentials = self._credentials(name, args)
        manifest = pulumi.Output.all(
            namespace=args.namespace,
            version=args.model.version,
            uri=args.model.artifact_uri,
            bucket=args.buckets.artifacts,
            credentials=credentials,
        ).apply(lambda values: _manifest(args, **values))
        deployment = kubernetes.apiextensions.CustomResource(
            f"{name}-deployment",
            api_version=engine.API_VERSION,
            kind=engine.KIND,
            metadata=manifest.apply(lambda body: body["metadata"]),
            spec=manifest.apply(lambda body: body["spec"]),
            opts=pulumi.ResourceOptions(parent=self),
        )
        served = ServedVersion(
            f"{name}-test",
            engine=args.engine,
            kubeconfig=args.cluster.kubeconfig,
            namespace=args.namespace,
            # NAMESPACE/NAME
            deployment=deployment.id.apply(lambda it: it.rpartition("/")[2]),
            version=args.model.version,
            manifest=manifest.apply(lambda body: json.dumps(body, sort_keys=True)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[deployment]),
        )
        self.version = served.version
        # By what the test gives: until it passes, nothing asks the version.
        self.route = pulumi.Output.all(served.id, served.deployment, args.namespace).apply(
            lambda values: _route(args.engine, str(values[1]), str(values[2]))
        )
        self.register_outputs({"version": self.version})

    def _credentials(self, name: str, args: ModelServerArgs) -> pulumi.Output[str]:
        """Register what a server reads the object store by, and return its name."""
        store, on_kserve = args.buckets.store, args.engine == "kserve"
        child = pulumi.ResourceOptions(parent=self)
        secret = kubernetes.core.v1.Secret(
            f"{name}-object-store",
            metadata={
                "name": _CREDENTIALS,
                "namespace": args.namespace,
                "annotations": inference_service.secret_annotations(
                    host=store.host, port=store.port, secure=store.secure, region=store.region
                )
                if on_kserve
                else {},
            },
            string_data={
                "AWS_ACCESS_KEY_ID": store.access_key,
                "AWS_SECRET_ACCESS_KEY": store.secret_key,
                "AWS_ENDPOINT_URL": store.cluster_endpoint,
                "AWS_DEFAULT_REGION": store.region,
                "S3_VERIFY_SSL": "1" if store.secure else "0",
            },
            opts=child,
        )
        if not on_kserve:
            return secret.metadata.name
        account = kubernetes.core.v1.ServiceAccount(
            f"{name}-account",
            metadata={"name": _CREDENTIALS, "namespace": args.namespace},
            automount_service_account_token=False,
            secrets=[{"name": secret.metadata.name}],
            opts=child,
        )
        return account.metadata.name


def _manifest(
    args: ModelServerArgs, *, namespace: str, version: str, uri: str, bucket: str, credentials: str
) -> dict[str, Any]:
    return ENGINES[args.engine].manifest(
        ServedModel(
            prefix=f"{_NAME}-v{version}-",
            namespace=namespace,
            server=args.server,
            model=args.model_name,
            version=version,
            uri=f"s3://{bucket}/mlflow/{uri.removeprefix(_ARTIFACTS).lstrip('/')}",
            credentials=credentials,
            log_bucket=bucket,
            log_rate=args.log_rate,
        )
    )


def _route(engine: str, deployment: str, namespace: str) -> Route:
    backend = Backend(host=ENGINES[engine].host(deployment, namespace), weight=100)
    return Route(engine=engine, namespace=namespace, name=_NAME, backends=(backend,))
