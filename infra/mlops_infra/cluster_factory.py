"""The one place that knows which kinds of cluster there are."""

from dataclasses import dataclass
from typing import Literal

import pulumi

from mlops_infra.cluster import Cluster, ClusterAccess
from mlops_infra.cluster_claim import Claim
from mlops_infra.embedded_cluster import EmbeddedCluster, EmbeddedClusterArgs
from mlops_infra.existing_cluster import existing_cluster
from mlops_infra.kind_cluster import KindCluster, KindClusterArgs


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """What differs between clusters; see the configuration keys of the same names.

    Attributes:
        provider: who runs Kubernetes.
        claim: the stack that the cluster belongs to.
        known_identifier: identifier of the existing cluster as the stack's state has it.
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
    claim: Claim
    known_identifier: str
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


def create_cluster(name: str, args: ClusterArgs, *, after: pulumi.Resource) -> Cluster:
    """Return the stack's cluster, whoever runs it.

    Args:
        name: first part of its resources' names.
        args: see there.
        after: what must be in the state before a cluster is made.

    Raises:
        KubeconfigError: an existing cluster's kubeconfig cannot be used.
    """
    return Cluster(
        name,
        access=_access(name, args, pulumi.ResourceOptions(depends_on=[after])),
        claim=args.claim,
        storage_class=args.storage_class or None,
        image_registry=args.image_registry,
    )


def _access(name: str, args: ClusterArgs, opts: pulumi.ResourceOptions) -> ClusterAccess:
    match args.provider:
        case "existing":
            return existing_cluster(
                args.kubeconfig,
                context=args.kube_context,
                node_address=args.node_address,
                known_identifier=args.known_identifier,
            )
        case "kind":
            return KindCluster(
                f"{name}-kind",
                KindClusterArgs(
                    name=args.cluster_name, stack_id=args.claim.stack_id, images=args.images
                ),
                opts,
            ).access()
        case "embedded":
            return EmbeddedCluster(
                f"{name}-node",
                EmbeddedClusterArgs(
                    name=args.cluster_name,
                    stack_id=args.claim.stack_id,
                    kubernetes_version=args.kubernetes_version,
                    network=args.network,
                    reserved_memory=args.reserved_memory,
                    reserved_cpu=args.reserved_cpu,
                    images=args.images,
                ),
                opts,
            ).access()
