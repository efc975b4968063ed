"""Everything of a stack on AWS, in the order of needs."""

from dataclasses import replace
from typing import Any

import pulumi

from mlops_infra.aws.account import Account, AccountArgs
from mlops_infra.aws.buckets import AwsBuckets, AwsBucketsArgs, object_store
from mlops_infra.aws.budget import Budget, BudgetArgs
from mlops_infra.aws.database import Database, DatabaseArgs
from mlops_infra.aws.drain import Drain, DrainArgs
from mlops_infra.aws.eks_cluster import EksCluster, EksClusterArgs
from mlops_infra.aws.encryption import Encryption, EncryptionArgs
from mlops_infra.aws.identity import Identity, IdentityArgs
from mlops_infra.aws.network import Network, NetworkArgs
from mlops_infra.aws.presets import PRESETS
from mlops_infra.aws.registries import Registries, RegistriesArgs
from mlops_infra.aws.snapshots import Snapshots, SnapshotsArgs
from mlops_infra.cluster import Cluster
from mlops_infra.infra import Infra
from mlops_infra.infra_args import InfraArgs
from mlops_toolchain import kubernetes

_NETWORK = "10.80.0.0/16"


def create_on_aws(args: InfraArgs, *, images: tuple[str, ...]) -> Infra:
    """Register the stack's AWS resources.

    Args:
        args: what differs between stacks.
        images: names of the images that get a repository.
    """
    chosen = args.aws
    sized = PRESETS[chosen.preset]
    preset = replace(sized, protect=sized.protect and not args.ephemeral)
    cluster_name = f"mlops-{args.stack}"
    account = Account(
        "account",
        AccountArgs(
            number=chosen.account,
            region=chosen.region,
            stack=args.stack,
            stack_id=args.claim.stack_id,
            owner=chosen.owner,
            expires=chosen.expires,
        ),
    )
    Budget(
        "budget",
        BudgetArgs(account=account, monthly_usd=preset.monthly_budget_usd, email=chosen.owner),
    )
    encryption = Encryption(
        "encryption",
        EncryptionArgs(account=account, keep=chosen.database and preset.database_final_snapshot),
    )
    key = encryption.key_arn
    cidr = _NETWORK if args.network == "auto" else args.network
    network = Network(
        "network",
        NetworkArgs(account=account, cidr=cidr, egress=preset.egress, cluster_name=cluster_name),
    )
    buckets = AwsBuckets(
        "buckets",
        AwsBucketsArgs(
            store=object_store(chosen.region, chosen.s3_endpoint),
            account=account,
            key_arn=key,
            key=encryption.key,
            ephemeral=args.ephemeral,
            artifact_expiry_days=args.artifact_expiry_days,
            noncurrent_days=preset.bucket_noncurrent_days,
        ),
    )
    registries = Registries(
        "registries",
        RegistriesArgs(account=account, images=images, key_arn=key, ephemeral=args.ephemeral),
    )
    database: Database | None = None
    if chosen.database:
        pulumi.log.warn(
            "awsDatabase: this server is for programs of your own, at database_address with the "
            "secret database_secret_arn; MLflow and Kubeflow keep their databases on volumes of "
            "the cluster, and use it for nothing"
        )
        database = Database(
            "database",
            DatabaseArgs(account=account, network=network, preset=preset, key_arn=key),
        )
    eks = EksCluster(
        "eks",
        EksClusterArgs(
            account=account,
            network=network,
            cluster_name=cluster_name,
            version=None
            if args.kubernetes_version == "auto"
            else kubernetes.minor(args.kubernetes_version),
            preset=preset,
            key_arn=key,
            api_cidrs=chosen.api_cidrs,
            administrators=chosen.administrators,
            addon_versions=chosen.addon_versions,
            node_address=args.node_address or "127.0.0.1",
        ),
    )
    if not args.ephemeral:
        Snapshots("snapshots", SnapshotsArgs(account=account, count=preset.volume_snapshots))
    identity = Identity(
        "identity",
        IdentityArgs(
            account=account,
            cluster=eks,
            buckets=buckets,
            key_arn=key,
            services=tuple(service for part in args.parts for service in part.IDENTITIES),
        ),
    )
    drain = Drain(
        "drain",
        DrainArgs(kubeconfig=eks.kubeconfig, ephemeral=args.ephemeral),
        pulumi.ResourceOptions(depends_on=[*eks.ready, *identity.ready]),
    )
    cluster = Cluster(
        "cluster",
        access=eks.access(ready=(drain,), keep_volumes=not args.ephemeral),
        claim=args.claim,
        storage_class=args.storage_class or None,
        image_registry=args.image_registry,
        pulls_published=False,
    )
    outputs: dict[str, Any] = {"repositories": registries.urls}
    if database:
        outputs["database_address"] = database.address
        outputs["database_secret_arn"] = database.secret_arn
    return Infra(cluster=cluster, buckets=buckets, outputs=outputs)
