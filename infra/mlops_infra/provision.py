"""A stack's cluster and buckets: the one place that asks who runs Kubernetes."""

from dataclasses import replace
from typing import Final

import pulumi

from mlops_infra.buckets import Buckets, BucketsArgs, ObjectStore
from mlops_infra.cluster import Cluster, ClusterAccess
from mlops_infra.embedded_cluster import EmbeddedCluster, EmbeddedClusterArgs
from mlops_infra.existing_cluster import existing_cluster
from mlops_infra.image import Part, images_of
from mlops_infra.infra import Infra
from mlops_infra.infra_args import InfraArgs, Provider
from mlops_infra.kind_cluster import KindCluster, KindClusterArgs
from mlops_infra.s3_gateway import S3Gateway, S3GatewayArgs
from mlops_toolchain import images

# An embedded node has no way to a registry, and the nodes of EKS need not have one to any but the
# stack's own.
_PULL_PUBLISHED: Final = ("kind", "existing")


def image_names(provider: Provider, parts: tuple[type[Part], ...]) -> tuple[str, ...]:
    """Return the names of the toolchain's images that the nodes of a cluster must get."""
    runs: tuple[type[Part], ...] = parts if provider == "eks" else (S3Gateway, *parts)
    return images_of(runs, pulls_published=provider in _PULL_PUBLISHED)


def provision(args: InfraArgs, *, after: pulumi.Resource) -> Infra:
    """Register a stack's cluster and buckets, whoever runs them.

    Args:
        args: see there.
        after: what must be in the state before anything is made.

    Raises:
        KubeconfigError: an existing cluster's kubeconfig cannot be used.
    """
    if args.provider == "eks":
        # Imported here: the SDK of AWS takes a second that other stacks need not spend.
        from mlops_infra.aws.platform_on_aws import create_on_aws  # noqa: PLC0415

        found = create_on_aws(args, images=image_names("eks", args.parts))
    else:
        cluster = _cluster(args, pulumi.ResourceOptions(depends_on=[after]))
        found = Infra(cluster=cluster, buckets=_buckets(args, cluster))
    cluster, buckets, store = found.cluster, found.buckets, found.buckets.store
    return replace(
        found,
        outputs={
            **found.outputs,
            "kubeconfig": cluster.kubeconfig,
            "node_address": cluster.node_address,
            "s3_url": store.endpoint,
            "s3_access_key": store.access_key,
            "s3_secret_key": store.secret_key,
            "s3_region": store.region,
            # By purpose: on AWS they bear names of their own.
            "buckets": {
                "datasets": buckets.datasets,
                "artifacts": buckets.artifacts,
                "models": buckets.models,
                "pipelines": buckets.pipelines,
            },
        },
    )


def _cluster(args: InfraArgs, opts: pulumi.ResourceOptions) -> Cluster:
    return Cluster(
        "cluster",
        access=_access("cluster", args, opts),
        claim=args.claim,
        storage_class=args.storage_class or None,
        image_registry=args.image_registry,
        pulls_published=args.provider in _PULL_PUBLISHED,
    )


def _access(name: str, args: InfraArgs, opts: pulumi.ResourceOptions) -> ClusterAccess:
    if args.provider == "existing":
        return existing_cluster(
            args.kubeconfig,
            context=args.kube_context,
            node_address=args.node_address,
            known_identifier=args.known_identifier,
        )
    names = image_names(args.provider, args.parts if args.with_platform else ())
    loaded = tuple(map(images.reference, names))
    if args.provider == "kind":
        return KindCluster(
            f"{name}-kind",
            KindClusterArgs(name=args.stack, stack_id=args.claim.stack_id, images=loaded),
            opts,
        ).access()
    return EmbeddedCluster(
        f"{name}-node",
        EmbeddedClusterArgs(
            name=args.stack,
            stack_id=args.claim.stack_id,
            kubernetes_version=args.kubernetes_version,
            network=args.network,
            reserved_memory=args.reserved_memory,
            reserved_cpu=args.reserved_cpu,
            images=loaded,
        ),
        opts,
    ).access()


def _buckets(args: InfraArgs, cluster: Cluster) -> Buckets:
    s3 = S3Gateway("s3", S3GatewayArgs(cluster=cluster, storage_size=args.object_storage_size))
    return Buckets(
        "buckets",
        BucketsArgs(
            store=ObjectStore(
                endpoint=s3.endpoint,
                cluster_endpoint=s3.cluster_endpoint,
                shared_endpoint=s3.shared_endpoint,
                region=s3.region,
                access_key=s3.access_key,
                secret_key=s3.secret_key,
            ),
            ephemeral=args.ephemeral,
        ),
        # Their data goes with a cluster that is thrown away; elsewhere each deletion is checked.
        cluster.child_options() if args.ephemeral else None,
    )
