"""MariaDB: the MySQL database of Kubeflow Pipelines."""

from dataclasses import dataclass
from typing import ClassVar

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra import keys_digest
from mlops_infra.cluster import Cluster
from mlops_infra.credentials import Credentials
from mlops_infra.image import Image
from mlops_infra.pod_security import RESTRICTED_CONTAINER, restricted_pod
from mlops_platform.component import Component

_PORT = 3306
_USER = "kubeflow"


@dataclass(frozen=True, kw_only=True)
class Database:
    """A MySQL server and the account to use, whoever runs it.

    Attributes:
        host: its name for pods.
        port: its TCP port.
        user: the account.
        password: its password, secret.
    """

    host: str
    port: int
    user: str
    password: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class MariaDbArgs:
    """What the server needs.

    Attributes:
        cluster: where it runs.
        namespace: name of the namespace that it runs in and alone serves.
        databases: names of the databases to have.
        exact_databases: those of them that compare names by bytes, and whose clients send UTF-8
            without saying so.
        storage_size: size of its volume, as a Kubernetes quantity.
    """

    cluster: Cluster
    namespace: pulumi.Input[str]
    databases: tuple[str, ...]
    exact_databases: tuple[str, ...]
    storage_size: str


class MariaDb(Component):
    """One server on a persistent volume, with a random password and one account.

    Attributes:
        database: how to reach it from pods of its namespace.
    """

    database: Database

    TOKEN: ClassVar = "mlops:platform:MariaDb"  # noqa: S105 - a resource's type
    IMAGES: ClassVar = (Image("mariadb"),)

    def __init__(
        self, name: str, args: MariaDbArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.cluster, opts)
        child = self.child
        labels = {
            "app.kubernetes.io/name": "mariadb",
            "app.kubernetes.io/part-of": "mlops-platform",
        }
        credentials = Credentials(f"{name}-credentials", opts=child)
        account: dict[str, pulumi.Input[str]] = {
            "MYSQL_USER": _USER,
            "MYSQL_PASSWORD": credentials.secret_key,
        }
        secret = kubernetes.core.v1.Secret(
            f"{name}-account",
            metadata={"namespace": args.namespace},
            string_data=account,
            opts=child,
        )
        annotations = keys_digest.annotations(keys_digest.digest(secret, account))
        volume = kubernetes.core.v1.PersistentVolumeClaim(
            f"{name}-data",
            metadata={"namespace": args.namespace},
            spec={
                "access_modes": ["ReadWriteOnce"],
                "storage_class_name": args.cluster.storage_class,
                "resources": {"requests": {"storage": args.storage_size}},
            },
            opts=pulumi.ResourceOptions.merge(child, args.cluster.claim_options()),
        )
        kubernetes.apps.v1.Deployment(
            f"{name}-server",
            metadata={"namespace": args.namespace, "labels": labels},
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
            metadata={"name": "mariadb", "namespace": args.namespace, "labels": labels},
            spec={
                "selector": labels,
                "ports": [{"name": "mysql", "port": _PORT, "target_port": "mysql"}],
            },
            opts=child,
        )
        # Where the cluster's network enforces policies, only the namespace gets through.
        kubernetes.networking.v1.NetworkPolicy(
            f"{name}-clients",
            metadata={"namespace": args.namespace, "labels": labels},
            spec={
                "pod_selector": {"match_labels": labels},
                "policy_types": ["Ingress"],
                "ingress": [{"from_": [{"pod_selector": {}}], "ports": [{"port": _PORT}]}],
            },
            opts=child,
        )
        self.database = Database(
            host="mariadb", port=_PORT, user=_USER, password=credentials.secret_key
        )
        self.register_outputs({"service": service.metadata.name})


def _pod(
    args: MariaDbArgs, secret: pulumi.Output[str], volume: pulumi.Output[str]
) -> kubernetes.core.v1.PodSpecArgsDict:
    return {
        **restricted_pod(),
        "termination_grace_period_seconds": 20,
        "containers": [
            {
                "name": "mariadb",
                "image": args.cluster.image("mariadb"),
                "image_pull_policy": "IfNotPresent",
                "command": ["mariadb-start"],
                "env_from": [{"secret_ref": {"name": secret}}],
                "env": [
                    {"name": "DATABASES", "value": " ".join(args.databases)},
                    {"name": "EXACT_DATABASES", "value": " ".join(args.exact_databases)},
                ],
                "ports": [{"name": "mysql", "container_port": _PORT}],
                "security_context": RESTRICTED_CONTAINER,
                # It listens only after its accounts and databases are there, and the tables of an
                # older stack are converted: killed in a large one, it would begin again for ever.
                "startup_probe": {
                    "tcp_socket": {"port": "mysql"},
                    "period_seconds": 1,
                    "failure_threshold": 3600,
                },
                "readiness_probe": {"tcp_socket": {"port": "mysql"}, "period_seconds": 2},
                "liveness_probe": {
                    "tcp_socket": {"port": "mysql"},
                    "period_seconds": 10,
                    "failure_threshold": 6,
                },
                "resources": {
                    "requests": {"cpu": "50m", "memory": "160Mi"},
                    "limits": {"memory": "1Gi"},
                },
                "volume_mounts": [
                    {"name": "data", "mount_path": "/var/lib/mysql"},
                    {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108
                ],
            }
        ],
        "volumes": [
            {"name": "data", "persistent_volume_claim": {"claim_name": volume}},
            # In memory: it holds the statement with the password.
            {"name": "tmp", "empty_dir": {"medium": "Memory", "size_limit": "64Mi"}},
        ],
    }
