"""The champion behind an address: deployed by version, tested, and only then asked."""

import json
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra.buckets import Buckets
from mlops_infra.cluster import Cluster
from mlops_workloads import seldon_deployment
from mlops_workloads.gateway_configuration import Backend, Route
from mlops_workloads.model_version import ModelVersion
from mlops_workloads.seldon_deployment import PREDICTOR, SeldonModel
from mlops_workloads.served_version import ServedVersion

_NAME = "flight-delay"
_SECRET = "flight-delay-object-store"  # noqa: S105 - an object's name
# Where MLflow's server keeps what its clients call mlflow-artifacts:/.
_ARTIFACTS = "mlflow-artifacts:"


@dataclass(frozen=True, kw_only=True)
class ModelServerArgs:
    """What a model server needs.

    Attributes:
        cluster: where it runs.
        buckets: where the model is, and its prediction log goes.
        namespace: namespace that the engine watches.
        image: image of the engine's server.
        model_name: registered model.
        model: its version to serve.
        log_rate: share of the predictions that the log keeps, 0 to 1.
    """

    cluster: Cluster
    buckets: Buckets
    namespace: pulumi.Input[str]
    image: str
    model_name: str
    model: ModelVersion
    log_rate: float


class ModelServer(pulumi.ComponentResource):
    """One version of the model on Seldon.

    A version is a SeldonDeployment of its own. A new one replaces the old one: it is made first,
    the gateway follows when it has passed its test, and the old one goes last. If it fails, the
    update ends with the reason, and the old one serves on.

    Attributes:
        route: its address in the gateway, known once the version has passed.
        version: the version that serves.
    """

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
        child = pulumi.ResourceOptions(parent=self)
        store = args.buckets.store
        secret = kubernetes.core.v1.Secret(
            f"{name}-object-store",
            metadata={"name": _SECRET, "namespace": args.namespace},
            string_data={
                "AWS_ACCESS_KEY_ID": store.access_key,
                "AWS_SECRET_ACCESS_KEY": store.secret_key,
                "AWS_ENDPOINT_URL": store.cluster_endpoint,
                "AWS_DEFAULT_REGION": store.region,
                "S3_VERIFY_SSL": "1" if store.secure else "0",
            },
            opts=child,
        )
        manifest = pulumi.Output.all(
            namespace=args.namespace,
            version=args.model.version,
            uri=args.model.artifact_uri,
            bucket=args.buckets.artifacts,
            secret=secret.metadata.name,
        ).apply(lambda values: _manifest(args, **values))
        deployment = kubernetes.apiextensions.CustomResource(
            f"{name}-deployment",
            api_version="machinelearning.seldon.io/v1",
            kind="SeldonDeployment",
            metadata=manifest.apply(lambda body: body["metadata"]),
            spec=manifest.apply(lambda body: body["spec"]),
            opts=child,
        )
        called = manifest.apply(lambda body: str(body["metadata"]["name"]))
        served = ServedVersion(
            f"{name}-test",
            kubeconfig=args.cluster.kubeconfig,
            namespace=args.namespace,
            deployment=called,
            service=called.apply(lambda it: f"{it}-{PREDICTOR}"),
            version=args.model.version,
            manifest=manifest.apply(lambda body: json.dumps(body, sort_keys=True)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[deployment]),
        )
        self.version = served.version
        # By what the test gives: until it passes, nothing asks the version.
        self.route = pulumi.Output.all(served.id, served.deployment, args.namespace).apply(
            lambda values: _route(str(values[1]), str(values[2]))
        )
        self.register_outputs({"version": self.version})


def _manifest(
    args: ModelServerArgs, *, namespace: str, version: str, uri: str, bucket: str, secret: str
) -> dict[str, Any]:
    return seldon_deployment.manifest(
        SeldonModel(
            name=f"{_NAME}-v{version}",
            namespace=namespace,
            image=args.image,
            model=args.model_name,
            version=version,
            uri=f"s3://{bucket}/mlflow/{uri.removeprefix(_ARTIFACTS).lstrip('/')}",
            secret=secret,
            log_bucket=bucket,
            log_rate=args.log_rate,
        )
    )


def _route(deployment: str, namespace: str) -> Route:
    backend = Backend(host=seldon_deployment.host(deployment, namespace), weight=100)
    return Route(engine="seldon", namespace=namespace, name=_NAME, backends=(backend,))
