"""S3 on the cluster: versitygw over a persistent volume."""

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra import keys_digest
from mlops_infra.cluster import Cluster
from mlops_infra.credentials import Credentials
from mlops_infra.identity import Identity
from mlops_infra.image import Image
from mlops_infra.pod_security import RESTRICTED_CONTAINER, restricted_pod

# KFP's launcher signs for this region by default; one gateway serves every client.
REGION = "us-east-1"
_PORT = 7070
_NAMESPACE = "object-storage"


@dataclass(frozen=True, kw_only=True)
class S3GatewayArgs:
    """What the gateway needs.

    Attributes:
        cluster: where it runs.
        storage_size: size of its volume, as a Kubernetes quantity.
    """

    cluster: Cluster
    storage_size: str


class S3Gateway(pulumi.ComponentResource):
    """An S3 API on the cluster, with random credentials.

    Attributes:
        endpoint: URL at which this machine reaches it.
        cluster_endpoint: URL at which pods reach it.
        shared_endpoint: URL at which both do.
        region: region that requests are signed for.
        access_key: access key, secret.
        secret_key: secret key, secret.
    """

    endpoint: pulumi.Output[str]
    cluster_endpoint: str
    shared_endpoint: pulumi.Output[str]
    region: str
    access_key: pulumi.Output[str]
    secret_key: pulumi.Output[str]

    IMAGES: ClassVar[tuple[Image, ...]] = (Image("versitygw"),)
    IDENTITIES: ClassVar[tuple[Identity, ...]] = ()

    def __init__(
        self, name: str, args: S3GatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(
            "mlops:infra:S3Gateway",
            name,
            None,
            pulumi.ResourceOptions.merge(args.cluster.child_options(), opts),
        )
        child = pulumi.ResourceOptions(parent=self)
        labels = {"app.kubernetes.io/name": "s3", "app.kubernetes.io/part-of": "mlops-platform"}

        credentials = Credentials(f"{name}-credentials", opts=child)
        self.access_key = credentials.access_key
        self.secret_key = credentials.secret_key
        self.region = REGION

        namespace = kubernetes.core.v1.Namespace(
            f"{name}-namespace",
            metadata={
                "name": _NAMESPACE,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
            opts=child,
        )
        keys = {"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key}
        secret = kubernetes.core.v1.Secret(
            f"{name}-root",
            metadata={"namespace": namespace.metadata.name},
            string_data=keys,
            opts=child,
        )
        volume = kubernetes.core.v1.PersistentVolumeClaim(
            f"{name}-data",
            metadata={"namespace": namespace.metadata.name},
            spec={
                "access_modes": ["ReadWriteOnce"],
                "storage_class_name": args.cluster.storage_class,
                "resources": {"requests": {"storage": args.storage_size}},
            },
            opts=pulumi.ResourceOptions.merge(child, args.cluster.claim_options()),
        )
        annotations = keys_digest.annotations(keys_digest.digest(secret, keys))
        deployment = kubernetes.apps.v1.Deployment(
            f"{name}-gateway",
            metadata={"namespace": namespace.metadata.name, "labels": labels},
            spec={
                "replicas": 1,
                # The volume has one writer.
                "strategy": {"type": "Recreate"},
                "selector": {"match_labels": labels},
                "template": {
                    "metadata": {"labels": labels, "annotations": annotations},
                    "spec": _pod(args, secret.metadata.name, volume.metadata.name),
                },
            },
            opts=child,
        )
        service = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata={"name": "s3", "namespace": namespace.metadata.name, "labels": labels},
            spec={
                "type": "NodePort",
                "selector": labels,
                "ports": [
                    {"name": "s3", "port": _PORT, "target_port": "s3"},
                    # For clients that can be told a host and no port, such as Kubeflow's UI.
                    {"name": "http", "port": 80, "target_port": "s3"},
                ],
            },
            opts=child,
        )
        self.cluster_endpoint = f"http://s3.{_NAMESPACE}.svc.cluster.local:{_PORT}"
        # The endpoint waits for the Deployment: an address nobody serves yet is of no use.
        self.endpoint = args.cluster.node_url(service.spec.ports[0].node_port, after=deployment.id)
        self.shared_endpoint = self.endpoint.apply(self._shared)
        self.register_outputs({"endpoint": self.endpoint})

    def _shared(self, endpoint: str) -> str:
        """Return the address that pods and this machine share, or the pods' where there is none."""
        # This machine's forwarded ports, where pods find themselves.
        forwarded = urlsplit(endpoint).hostname in ("127.0.0.1", "localhost", "::1")
        return self.cluster_endpoint if forwarded else endpoint


def arguments(*, address: str, data: str) -> list[str]:
    """Return versitygw's arguments.

    It keeps objects as files: what S3 calls a bucket is a folder below `objects`.

    Args:
        address: host and port to listen at.
        data: folder that holds `objects` and `versions`.
    """
    return [
        "--port", address,
        "--region", REGION,
        "--health", "/health",
        "--quiet",
        "posix",
        "--versioning-dir", f"{data}/versions",
        f"{data}/objects",
    ]  # fmt: skip


def _pod(
    args: S3GatewayArgs, secret: pulumi.Output[str], volume: pulumi.Output[str]
) -> kubernetes.core.v1.PodSpecArgsDict:
    return {
        **restricted_pod(),
        "termination_grace_period_seconds": 5,
        "containers": [
            {
                "name": "versitygw",
                "image": args.cluster.image("versitygw"),
                "image_pull_policy": "IfNotPresent",
                "command": ["versitygw"],
                "args": arguments(address=f":{_PORT}", data="/data"),
                "env_from": [{"secret_ref": {"name": secret}}],
                "ports": [{"name": "s3", "container_port": _PORT}],
                "security_context": RESTRICTED_CONTAINER,
                "readiness_probe": {
                    "http_get": {"path": "/health", "port": "s3"},
                    "period_seconds": 2,
                },
                "liveness_probe": {
                    "http_get": {"path": "/health", "port": "s3"},
                    "initial_delay_seconds": 10,
                    "period_seconds": 20,
                },
                "resources": {
                    "requests": {"cpu": "50m", "memory": "64Mi"},
                    "limits": {"memory": "512Mi"},
                },
                "volume_mounts": [
                    {"name": "data", "mount_path": "/data/objects", "sub_path": "objects"},
                    {"name": "data", "mount_path": "/data/versions", "sub_path": "versions"},
                ],
            }
        ],
        "volumes": [
            {"name": "data", "persistent_volume_claim": {"claim_name": volume}},
        ],
    }  # fmt: skip
