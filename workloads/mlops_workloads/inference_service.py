"""One registered version of the flight-delay model on KServe."""

from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra.buckets import Buckets
from mlops_infra.cluster import Cluster

_RUNTIME_CLASS: Final = "flight_serving.mlserver_runtime.FlightDelayRuntime"
_WAIT = "5m"


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """What is served.

    Attributes:
        name: the InferenceService's name, which is the model's name in requests.
        namespace: its namespace.
        runtime: the runtime that serves it.
        model: registered model.
        version: its version.
        uri: S3 URI of the folder that MLflow logged.
        account: service account that may read it.
        secret: secret with S3's endpoint and keys, for the prediction log.
        log_bucket: bucket of the prediction log.
        log_rate: share of the predictions that it keeps, 0 to 1.
    """

    name: str
    namespace: str
    runtime: str
    model: str
    version: str
    uri: str
    account: str
    secret: str
    log_bucket: str
    log_rate: float


def manifest(served: ServedModel) -> dict[str, Any]:
    """Return the InferenceService."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": served.name,
            "namespace": served.namespace,
            "annotations": {
                # Without it KServe makes an autoscaler, which needs metrics that few clusters have.
                "serving.kserve.io/autoscalerClass": "none",
            },
            "labels": {
                # KServe's runtime of MLServer reads the class of the model here.
                "modelClass": _RUNTIME_CLASS,
                "app.kubernetes.io/part-of": "mlops-platform",
            },
        },
        "spec": {
            "predictor": {
                "serviceAccountName": served.account,
                "automountServiceAccountToken": False,
                "minReplicas": 1,
                # A new version answers before the old one goes.
                "deploymentStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
                },
                "model": {
                    "modelFormat": {"name": "mlflow"},
                    "protocolVersion": "v2",
                    "runtime": served.runtime,
                    "storageUri": served.uri,
                    "env": [
                        {"name": "REGISTERED_MODEL", "value": served.model},
                        {"name": "MODEL_VERSION", "value": served.version},
                        {"name": "PREDICTION_LOG_BUCKET", "value": served.log_bucket},
                        {"name": "PREDICTION_LOG_RATE", "value": str(served.log_rate)},
                    ],
                    "envFrom": [{"secretRef": {"name": served.secret}}],
                    "resources": {
                        "requests": {"cpu": "50m", "memory": "256Mi"},
                        "limits": {"cpu": "1", "memory": "512Mi"},
                    },
                },
            }
        },
    }


@dataclass(frozen=True, kw_only=True)
class InferenceServiceArgs:
    """What serves a version.

    Attributes:
        cluster: where it runs.
        buckets: where the model is, and its prediction log goes.
        namespace: namespace of models.
        runtime: name of the runtime.
        name: the InferenceService's name.
        model: registered model.
        version: its version, known once it is registered.
        uri: S3 URI of the folder that MLflow logged.
        log_rate: share of the predictions that the log keeps, 0 to 1.
    """

    cluster: Cluster
    buckets: Buckets
    namespace: pulumi.Input[str]
    runtime: str
    name: pulumi.Input[str]
    model: str
    version: pulumi.Input[str]
    uri: pulumi.Input[str]
    log_rate: float


class InferenceService(pulumi.ComponentResource):
    """One version that answers, with what it reads S3 by.

    Attributes:
        url: address of its predictions for pods, known once it is ready.
    """

    url: pulumi.Output[str]

    def __init__(
        self, name: str, args: InferenceServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(
            "mlops:workloads:InferenceService",
            name,
            None,
            pulumi.ResourceOptions.merge(args.cluster.object_options(), opts),
        )
        child = pulumi.ResourceOptions(parent=self)
        store = args.buckets.store
        secret = kubernetes.core.v1.Secret(
            f"{name}-object-store",
            metadata={
                "name": f"{name}-object-store",
                "namespace": args.namespace,
                # KServe reads these where its storage initializer gets its environment.
                "annotations": {
                    "serving.kserve.io/s3-endpoint": f"{store.host}:{store.port}",
                    "serving.kserve.io/s3-usehttps": "1" if store.secure else "0",
                    "serving.kserve.io/s3-verifyssl": "1" if store.secure else "0",
                    "serving.kserve.io/s3-region": store.region,
                },
            },
            # The prediction log reads the variables.
            string_data={
                "AWS_ACCESS_KEY_ID": store.access_key,
                "AWS_SECRET_ACCESS_KEY": store.secret_key,
                "AWS_ENDPOINT_URL": store.cluster_endpoint,
                "AWS_DEFAULT_REGION": store.region,
            },
            opts=child,
        )
        account = kubernetes.core.v1.ServiceAccount(
            f"{name}-account",
            metadata={"name": name, "namespace": args.namespace},
            automount_service_account_token=False,
            secrets=[{"name": secret.metadata.name}],
            opts=child,
        )
        body = pulumi.Output.all(
            name=args.name,
            namespace=args.namespace,
            version=args.version,
            uri=args.uri,
            account=account.metadata.name,
            secret=secret.metadata.name,
            log_bucket=args.buckets.artifacts,
        ).apply(
            lambda values: manifest(
                ServedModel(
                    runtime=args.runtime, model=args.model, log_rate=args.log_rate, **values
                )
            )
        )
        service = kubernetes.apiextensions.CustomResource(
            f"{name}-service",
            api_version="serving.kserve.io/v1beta1",
            kind="InferenceService",
            metadata=body.apply(
                lambda it: {
                    **it["metadata"],
                    "annotations": {
                        **it["metadata"]["annotations"],
                        "pulumi.com/waitFor": "condition=Ready",
                    },
                }
            ),
            spec=body.apply(lambda it: it["spec"]),
            opts=pulumi.ResourceOptions(
                parent=self,
                custom_timeouts=pulumi.CustomTimeouts(create=_WAIT, update=_WAIT),
            ),
        )
        self.url = pulumi.Output.all(service.id, args.name, args.namespace).apply(
            lambda values: f"http://{values[1]}-predictor.{values[2]}.svc.cluster.local"
        )
        self.register_outputs({"url": self.url})
