"""The one place that knows which kinds of cluster there are."""

from dataclasses import dataclass
from typing import Literal

from mlops_infra.cluster import Cluster, ClusterAccess
from mlops_infra.embedded_cluster import EmbeddedCluster, EmbeddedClusterArgs
from mlops_infra.existing_cluster import existing_cluster
from mlops_infra.kind_cluster import KindCluster, KindClusterArgs


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """What differs between clusters; see the configuration keys of the same names.

    Attributes:
        provider: who runs Kubernetes.
        cluster_name: name of a cluster that the stack makes.
        images: references of the project's images that must be in it.
        kubernetes_version: version of an embedded cluster, or "auto".
        network: network of an embedded cluster.
        reserved_memory: memory that an embedded cluster's pods leave free.
        reserved_cpu: CPU that an embedded cluster's pods leave free.
        kubeconfig: file of an existing cluster.
        kube_context: context in it.
        node_address: address of an existing cluster's NodePorts.
        storage_class: class of persistent volumes; empty for the default.
        image_registry: registry of the project's images; empty for those in the cluster.
    """

    provider: Literal["embedded", "kind", "existing"]
    cluster_name: str
    images: tuple[str, ...]
    kubernetes_version: str
    network: str
    reserved_memory: str
    reserved_cpu: str
    kubeconfig: str
    kube_context: str
    node_address: str
    storage_class: str
    image_registry: str


def create_cluster(name: str, args: ClusterArgs) -> Cluster:
    """Return the stack's cluster, whoever runs it.

    Raises:
        KubeconfigError: an existing cluster's kubeconfig cannot be used.
    """
    return Cluster(
        name,
        access=_access(name, args),
        storage_class=args.storage_class or None,
        image_registry=args.image_registry,
    )


def _access(name: str, args: ClusterArgs) -> ClusterAccess:
    match args.provider:
        case "existing":
            return existing_cluster(
                args.kubeconfig, context=args.kube_context, node_address=args.node_address
            )
        case "kind":
            return KindCluster(
                f"{name}-kind", KindClusterArgs(name=args.cluster_name, images=args.images)
            ).access()
        case "embedded":
            return EmbeddedCluster(
                f"{name}-node",
                EmbeddedClusterArgs(
                    name=args.cluster_name,
                    kubernetes_version=args.kubernetes_version,
                    network=args.network,
                    reserved_memory=args.reserved_memory,
                    reserved_cpu=args.reserved_cpu,
                    images=args.images,
                ),
            ).access()
