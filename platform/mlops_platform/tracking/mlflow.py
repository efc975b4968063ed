"""MLflow: the tracking server and the model registry."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra import keys_digest
from mlops_infra.buckets import EXPIRING, Buckets
from mlops_infra.cluster import Cluster
from mlops_infra.identity import Access, Identity
from mlops_infra.image import Image
from mlops_infra.pod_security import RESTRICTED_CONTAINER, restricted_pod
from mlops_platform.component import Component

_NAMESPACE = "mlflow"
_PORT = 5000
_DATABASE = "/data/mlflow.db"
_EXPIRE = Path(__file__).with_name("expire_artifacts.py")
_UPGRADE = Path(__file__).with_name("mlflow_upgrade.py")
# How clients reach it: by a port-forward, and from Pods by the Service's names. Whole names, since
# MLflow's own default `10.*` is also the beginning of names that anybody may register.
_NAMES = (
    "localhost",
    "127.0.0.1",
    "[::1]",
    "mlflow",
    f"mlflow.{_NAMESPACE}",
    f"mlflow.{_NAMESPACE}.svc",
    f"mlflow.{_NAMESPACE}.svc.cluster.local",
)


@dataclass(frozen=True, kw_only=True)
class MlflowArgs:
    """What MLflow needs.

    Attributes:
        cluster: where it runs.
        buckets: where the artifacts go; only the server holds the keys.
        storage_size: size of the database's volume, as a Kubernetes quantity.
        artifact_expiry_days: days after which artifacts are deleted, but for those of registered
            models; 0 keeps them.
    """

    cluster: Cluster
    buckets: Buckets
    storage_size: str
    artifact_expiry_days: int = 0


class Mlflow(Component):
    """MLflow's server, its database on a volume, its artifacts in S3 through the server.

    Attributes:
        url: address of UI and API on this machine.
        cluster_url: address of the API for pods.
    """

    url: pulumi.Output[str]
    cluster_url: str

    TOKEN: ClassVar = "mlops:platform:Mlflow"  # noqa: S105 - a resource's type
    IMAGES: ClassVar = (Image("mlflow"),)
    IDENTITIES: ClassVar = (
        Identity(
            name="mlflow",
            namespace=_NAMESPACE,
            account="default",
            access=(Access(bucket="artifacts", prefix="mlflow/", write=True),),
        ),
    )

    def __init__(
        self, name: str, args: MlflowArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.cluster, opts)
        child = self.child
        labels = {"app.kubernetes.io/name": "mlflow", "app.kubernetes.io/part-of": "mlops-platform"}
        namespace = self.add_namespace(f"{name}-namespace", _NAMESPACE)
        store = args.buckets.store
        secret: pulumi.Output[str] | None = None
        digests: list[pulumi.Output[str]] = []
        if not store.keyless:
            keys = {
                "AWS_ACCESS_KEY_ID": store.access_key,
                "AWS_SECRET_ACCESS_KEY": store.secret_key,
            }
            made = kubernetes.core.v1.Secret(
                f"{name}-object-store",
                metadata={"namespace": namespace.metadata.name},
                string_data=keys,
                opts=child,
            )
            secret, digests = made.metadata.name.apply(str), [keys_digest.digest(made, keys)]
        volume = kubernetes.core.v1.PersistentVolumeClaim(
            f"{name}-database",
            metadata={"namespace": namespace.metadata.name},
            spec={
                "access_modes": ["ReadWriteOnce"],
                "storage_class_name": args.cluster.storage_class,
                "resources": {"requests": {"storage": args.storage_size}},
            },
            opts=pulumi.ResourceOptions.merge(child, args.cluster.claim_options()),
        )
        annotations = keys_digest.annotations(*digests)
        deployment = kubernetes.apps.v1.Deployment(
            f"{name}-server",
            metadata={"namespace": namespace.metadata.name, "labels": labels},
            spec={
                "replicas": 1,
                # SQLite has one writer.
                "strategy": {"type": "Recreate"},
                "selector": {"match_labels": labels},
                "template": {
                    "metadata": {"labels": labels, "annotations": annotations},
                    "spec": _pod(args, secret, volume.metadata.name),
                },
            },
            opts=child,
        )
        service = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata={
                "name": "mlflow",
                "namespace": namespace.metadata.name,
                "labels": labels,
            },
            spec={
                "type": "NodePort",
                "selector": labels,
                "ports": [{"name": "http", "port": _PORT, "target_port": "http"}],
            },
            opts=child,
        )
        self.cluster_url = f"http://mlflow.{_NAMESPACE}.svc.cluster.local:{_PORT}"
        # The URL waits for the Deployment: an address nobody serves yet is of no use.
        self.url = args.cluster.node_url(service.spec.ports[0].node_port, after=deployment.id)
        if args.artifact_expiry_days:
            kubernetes.batch.v1.CronJob(
                f"{name}-expiry",
                metadata={"namespace": namespace.metadata.name, "labels": labels},
                spec={
                    "schedule": "17 3 * * *",
                    "concurrency_policy": "Forbid",
                    "successful_jobs_history_limit": 1,
                    "failed_jobs_history_limit": 1,
                    "job_template": {
                        "spec": {
                            "backoff_limit": 2,
                            "active_deadline_seconds": 3600,
                            "template": {"spec": _expiry_pod(args, secret, self.cluster_url)},
                        }
                    },
                },
                opts=child,
            )
        self.register_outputs({"url": self.url})


def _at_any_port(scheme: str, node_address: pulumi.Output[str]) -> pulumi.Output[str]:
    """Return MLflow's list of the addresses that are its own.

    The NodePort is not named: the API server chooses it when the Service is made, and the Service
    waits for this server.
    """

    def patterns(address: str) -> str:
        own = [f"{scheme}{name}" for name in (*_NAMES, address)]
        # A pattern's bracket is a class of characters.
        return ",".join([*own, *(f"{name.replace('[', '[[]', 1)}:*" for name in own)])

    return node_address.apply(patterns)


def _expiry_pod(
    args: MlflowArgs, secret: pulumi.Output[str] | None, tracking: str
) -> kubernetes.core.v1.PodSpecArgsDict:
    store, buckets = args.buckets.store, args.buckets
    artifacts = pulumi.Output.format("s3://{0}/mlflow/", buckets.artifacts)
    # S3 itself deletes what needs no look into the registry; the gateway has no such rules.
    others: list[pulumi.Input[str]] = [
        pulumi.Output.format("s3://{0}/{1}", bucket, prefix)
        for bucket, prefix in (
            (buckets.artifacts, EXPIRING["artifacts"]),
            (buckets.pipelines, EXPIRING["pipelines"]),
        )
        if not store.keyless
    ]
    environment: dict[str, pulumi.Input[str]] = {
        "MLFLOW_TRACKING_URI": tracking,
        "AWS_DEFAULT_REGION": store.region,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HOME": "/tmp",  # noqa: S108 - an emptyDir of the pod
    }
    return {
        **restricted_pod(),
        "restart_policy": "Never",
        "containers": [
            {
                "name": "expire",
                "image": args.cluster.image("mlflow"),
                "image_pull_policy": "IfNotPresent",
                "command": ["python3", "-c", _EXPIRE.read_text()],
                "args": [
                    str(args.artifact_expiry_days),
                    store.cluster_endpoint,
                    artifacts,
                    artifacts,
                    *others,
                ],
                "env_from": [{"secret_ref": {"name": secret}}] if secret else [],
                "env": [{"name": name, "value": value} for name, value in environment.items()],
                "security_context": RESTRICTED_CONTAINER,
                "resources": {
                    "requests": {"cpu": "50m", "memory": "256Mi"},
                    "limits": {"memory": "1Gi"},
                },
                "volume_mounts": [{"name": "tmp", "mount_path": "/tmp"}],  # noqa: S108
            }
        ],
        "volumes": [{"name": "tmp", "empty_dir": {}}],
    }


def _pod(
    args: MlflowArgs, secret: pulumi.Output[str] | None, volume: pulumi.Output[str]
) -> kubernetes.core.v1.PodSpecArgsDict:
    store = args.buckets.store
    environment: dict[str, pulumi.Input[str]] = {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{_DATABASE}",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": pulumi.Output.format(
            "s3://{0}/mlflow", args.buckets.artifacts
        ),
        "_MLFLOW_SGI_NAME": "uvicorn",
        # Any page that a browser on this machine has open could read and change runs otherwise.
        # MLflow counts its own address as foreign until it is told which that is.
        "MLFLOW_SERVER_ALLOWED_HOSTS": _at_any_port("", args.cluster.node_address),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": _at_any_port("http://", args.cluster.node_address),
        # Evaluation jobs of language models: seven processes that nobody asks.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Clients fetch what is large from the store itself, by URLs that the server signs.
        "MLFLOW_S3_ENDPOINT_URL": store.shared_endpoint,
        "AWS_DEFAULT_REGION": store.region,
        "HOME": "/tmp",  # noqa: S108 - an emptyDir of the pod
    }
    mounts: list[kubernetes.core.v1.VolumeMountArgsDict] = [
        {"name": "database", "mount_path": "/data"},
        {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108
    ]
    return {
        **restricted_pod(),
        "termination_grace_period_seconds": 5,
        "init_containers": [
            {
                # The server refuses tables of another version than its own.
                "name": "upgrade-tables",
                "image": args.cluster.image("mlflow"),
                "image_pull_policy": "IfNotPresent",
                "command": ["python3", "-c", _UPGRADE.read_text(), _DATABASE],
                "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108
                "security_context": RESTRICTED_CONTAINER,
                "resources": {
                    "requests": {"cpu": "100m", "memory": "128Mi"},
                    "limits": {"memory": "2Gi"},
                },
                "volume_mounts": mounts,
            }
        ],
        "containers": [
            {
                "name": "mlflow",
                "image": args.cluster.image("mlflow"),
                "image_pull_policy": "IfNotPresent",
                # `mlflow server` imports all of MLflow only to start this process, which then
                # imports it again: twice the memory and the time (docs/decisions/0006).
                "command": ["python3", "-m", "uvicorn"],
                "args": [
                    "--host", "0.0.0.0",  # noqa: S104 - the pod's own network namespace
                    "--port", str(_PORT),
                    "--workers", "1",
                    "mlflow.server.fastapi_app:app",
                ],
                "env_from": [{"secret_ref": {"name": secret}}] if secret else [],
                "env": [{"name": name, "value": value} for name, value in environment.items()],
                "ports": [{"name": "http", "container_port": _PORT}],
                "security_context": RESTRICTED_CONTAINER,
                # The first start creates the database's tables, which takes longest.
                "startup_probe": {
                    "http_get": {"path": "/health", "port": "http"},
                    "period_seconds": 1,
                    "failure_threshold": 180,
                },
                "readiness_probe": {
                    "http_get": {"path": "/health", "port": "http"},
                    "period_seconds": 5,
                    "timeout_seconds": 5,
                },
                "liveness_probe": {
                    "http_get": {"path": "/health", "port": "http"},
                    "period_seconds": 20,
                    "timeout_seconds": 10,
                },
                "resources": {
                    "requests": {"cpu": "100m", "memory": "512Mi"},
                    "limits": {"memory": "2Gi"},
                },
                "volume_mounts": mounts,
            }
        ],
        "volumes": [
            {"name": "database", "persistent_volume_claim": {"claim_name": volume}},
            {"name": "tmp", "empty_dir": {}},
        ],
    }  # fmt: skip
