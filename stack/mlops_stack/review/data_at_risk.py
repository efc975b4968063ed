"""Which resources hold data that a replacement or deletion would take away."""

from mlops_stack.review.plan import Change, Operation

_CLUSTERS = frozenset(
    {
        "pulumi-python:dynamic/mlops:EmbeddedCluster",
        "pulumi-python:dynamic/mlops:KindCluster",
        "aws:eks/cluster:Cluster",
    }
)
_TYPES = _CLUSTERS | frozenset(
    {
        # Kubernetes
        "kubernetes:core/v1:PersistentVolumeClaim",
        "kubernetes:core/v1:PersistentVolume",
        "kubernetes:apps/v1:StatefulSet",
        # A namespace takes everything in it along, a definition everything of its kind.
        "kubernetes:core/v1:Namespace",
        "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",
        # this project's
        "pulumi-python:dynamic/mlops:Bucket",
        "pulumi-python:dynamic/mlops:Credentials",
        # AWS
        "aws:rds/instance:Instance",
        "aws:rds/cluster:Cluster",
        "aws:ebs/volume:Volume",
        "aws:efs/fileSystem:FileSystem",
        "aws:ecr/repository:Repository",
        "aws:kms/key:Key",
        "aws:dynamodb/table:Table",
    }
)
# Versions of the same resource that pulumi_aws has renamed over time.
_PREFIXES = ("aws:s3/bucket:", "aws:s3/bucketV2:")


def is_cluster(kind: str) -> bool:
    """Return whether resources of a type are a cluster, which everything in it goes with."""
    return kind in _CLUSTERS


def is_stateful(kind: str) -> bool:
    """Return whether resources of a type hold data."""
    return kind in _TYPES or kind.startswith(_PREFIXES)


def endangered(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """Return the changes that would take data away."""
    losing = (Operation.REPLACE, Operation.DELETE)
    return tuple(c for c in changes if c.operation in losing and is_stateful(c.type))
