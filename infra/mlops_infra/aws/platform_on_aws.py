"""Everything of a stack on AWS, in the order of needs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

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
from mlops_infra.aws.presets import PRESETS, PresetName
from mlops_infra.aws.registries import Registries, RegistriesArgs
from mlops_infra.aws.snapshots import Snapshots, SnapshotsArgs
from mlops_infra.buckets import Buckets
from mlops_infra.cluster import Cluster
from mlops_infra.cluster_claim import Claim
from mlops_toolchain import kubernetes


@dataclass(frozen=True, kw_only=True)
class AwsArgs:
    """What differs between stacks on AWS; see the configuration keys of the same names.

    Attributes:
        stack: name of the stack.
        account: number of the only account that it may be in; empty for that of the credentials.
        claim: the stack that the cluster belongs to.
        region: AWS region.
        preset: size.
        owner: e-mail address of who answers for the stack.
        expires: day after which it may be destroyed, or `never`.
        network: network of the VPC, /16.
        api_cidrs: networks that reach the Kubernetes API from the internet.
        administrators: ARNs of roles that administer the cluster.
        addon_versions: versions of EKS add-ons that are pinned, by name.
        database: whether there is a managed MySQL server.
        kubernetes_version: version of the cluster, as 1.37.2; "auto" for that which it has, or the
            toolchain's default for a new one.
        node_address: address at which this machine reaches NodePorts.
        storage_class: class of persistent volumes; empty for one of encrypted gp3 volumes.
        s3_endpoint: URL of S3's API, or empty for the region's public one.
        image_registry: registry of the project's images.
        images: names of the project's images.
        ephemeral: whether deletion may take data along; lifts the preset's protection.
        artifact_expiry_days: days after which artifacts expire; 0 keeps them.
    """

    stack: str
    account: str
    claim: Claim
    region: str
    preset: PresetName
    owner: str
    expires: str
    network: str
    api_cidrs: tuple[str, ...]
    administrators: tuple[str, ...]
    addon_versions: Mapping[str, str]
    database: bool
    kubernetes_version: str
    node_address: str
    storage_class: str
    s3_endpoint: str
    image_registry: str
    images: tuple[str, ...]
    ephemeral: bool
    artifact_expiry_days: int


@dataclass(frozen=True, kw_only=True)
class AwsInfra:
    """What the other layers see of AWS.

    Attributes:
        cluster: the EKS cluster.
        buckets: the buckets on S3.
        repositories: address of each image's repository, by the image's name.
        database: the MySQL server, None unless it is asked for.
    """

    cluster: Cluster
    buckets: Buckets
    repositories: dict[str, pulumi.Output[str]]
    database: Database | None


def create_on_aws(args: AwsArgs) -> AwsInfra:
    """Register the stack's AWS resources."""
    sized = PRESETS[args.preset]
    preset = replace(sized, protect=sized.protect and not args.ephemeral)
    cluster_name = f"mlops-{args.stack}"
    account = Account(
        "account",
        AccountArgs(
            number=args.account,
            region=args.region,
            stack=args.stack,
            stack_id=args.claim.stack_id,
            owner=args.owner,
            expires=args.expires,
        ),
    )
    Budget(
        "budget",
        BudgetArgs(account=account, monthly_usd=preset.monthly_budget_usd, email=args.owner),
    )
    encryption = Encryption(
        "encryption",
        EncryptionArgs(account=account, keep=args.database and preset.database_final_snapshot),
    )
    key = encryption.key_arn
    network = Network(
        "network",
        NetworkArgs(
            account=account, cidr=args.network, egress=preset.egress, cluster_name=cluster_name
        ),
    )
    buckets = AwsBuckets(
        "buckets",
        AwsBucketsArgs(
            store=object_store(args.region, args.s3_endpoint),
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
        RegistriesArgs(account=account, images=args.images, key_arn=key, ephemeral=args.ephemeral),
    )
    database: Database | None = None
    if args.database:
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
            api_cidrs=args.api_cidrs,
            administrators=args.administrators,
            addon_versions=args.addon_versions,
            node_address=args.node_address,
        ),
    )
    if not args.ephemeral:
        Snapshots("snapshots", SnapshotsArgs(account=account, count=preset.volume_snapshots))
    identity = Identity(
        "identity", IdentityArgs(account=account, cluster=eks, buckets=buckets, key_arn=key)
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
    )
    return AwsInfra(
        cluster=cluster, buckets=buckets, repositories=registries.urls, database=database
    )
