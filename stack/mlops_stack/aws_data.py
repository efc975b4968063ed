"""Data in AWS that a destroy would meet too late, asked for before it deletes anything."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from mlops_stack.aws_leftovers import Asked, pages
from mlops_stack.full_buckets import FullBucketsError
from mlops_stack.pulumi_cli import Stack

_BUCKET: Final = "aws:s3/bucket:Bucket"
_REPOSITORY: Final = "aws:ecr/repository:Repository"
_CLUSTER: Final = "aws:eks/cluster:Cluster"
_KEY: Final = "aws:kms/key:Key"
_DATABASE: Final = "aws:rds/instance:Instance"
# What AWS answers where a thing of the state is not there any more.
_GONE: Final = (
    "NoSuchBucket",
    "RepositoryNotFoundException",
    "ResourceNotFoundException",
    "DBInstanceNotFound",
    "DBInstanceNotFoundFault",
)

# Set by the driver of volumes.
_CLAIM: Final = "kubernetes.io/created-for/pvc/name"
_CLAIM_NAMESPACE: Final = "kubernetes.io/created-for/pvc/namespace"

Ask = Callable[[Asked, str], bool]


class AwsDataError(FullBucketsError):
    """AWS holds what may not be destroyed; the message names it and the remedy."""


class AwsAccountError(FullBucketsError):
    """The credentials lead to another account than the stack's."""


def check_account(stack: Stack, region: str | None) -> None:
    """Refuse credentials of another account than the one that the stack is in.

    In another account nothing of the stack is found: its cluster would count as gone, and with it
    all of its objects.

    Raises:
        AwsAccountError: it is another account, or AWS does not tell.
        PulumiError: the stack cannot be read.
    """
    if region is None:
        return
    wanted = _account(stack.resources())
    if not wanted:
        return
    try:
        found = Asked(stack.name, region).client("sts").get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:
        raise AwsAccountError(
            f"stack {stack.name} is in AWS account {wanted}, and AWS does not tell which one these "
            f"credentials lead to: {error}; nothing was changed"
        ) from error
    if found != wanted:
        raise AwsAccountError(
            f"stack {stack.name} is in AWS account {wanted}, and these credentials lead to "
            f"{found}; nothing was changed. Use that account's (`aws sts get-caller-identity` "
            "tells which one a shell has)"
        )


def _account(resources: list[dict[str, Any]]) -> str:
    """Return the account of a stack's key, which is made before all else; empty before that."""
    for found in resources:
        arn = (found.get("outputs") or {}).get("arn")
        if found["type"] == _KEY and isinstance(arn, str):
            return arn.split(":")[4]
    return ""


def refuse(stack: Stack, region: str | None) -> None:
    """Refuse to destroy a stack on AWS that holds data nobody has released.

    Buckets, repositories, the cluster and the database refuse that themselves, but when their turn
    comes, the databases on the cluster's volumes are gone.

    Raises:
        AwsAccountError: the credentials are another account's.
        AwsDataError: there is such data, or AWS does not say.
        PulumiError: the stack cannot be read.
    """
    if region is None:
        return
    check_account(stack, region)
    try:
        held = [*_held(Asked(stack.name, region), stack.resources())]
    except (BotoCoreError, ClientError) as error:
        raise AwsDataError(
            f"whether stack {stack.name} holds data in AWS cannot be told: {error}; nothing was "
            "destroyed. Give this command credentials that may read, and run it again"
        ) from error
    if held:
        raise AwsDataError(
            f"stack {stack.name} is not ephemeral, and AWS holds {'; '.join(held)}; nothing was "
            "destroyed. Copy what you need, set `mlops-platform:ephemeral: true` in "
            f"{stack.file().name}, run `make up STACK={stack.name}`, and then this again"
        )


def _held(asked: Asked, resources: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what keeps a stack from being destroyed, of what its state names."""
    known = [found for found in resources if found.get("id")]
    for found in known:
        holds = _HOLDS.get(found["type"])
        if holds is None or found["inputs"].get(holds.released):
            continue
        name = str(found["inputs"].get("identifier") or found["id"])
        if _answer(holds.ask, asked, name):
            yield f"{holds.what} {name}"
    if any(f["type"] == _BUCKET and not f["inputs"].get("forceDestroy") for f in known):
        yield from _volumes(asked)


def _answer(ask: Ask, asked: Asked, name: str) -> bool:
    """Ask AWS; what is not there any more holds nothing."""
    try:
        return ask(asked, name)
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return False
        raise


def _bucket_holds(asked: Asked, bucket: str) -> bool:
    found = asked.client("s3").list_object_versions(Bucket=bucket, MaxKeys=1)
    return bool(found.get("Versions") or found.get("DeleteMarkers"))


def _repository_holds(asked: Asked, repository: str) -> bool:
    found = asked.client("ecr").list_images(repositoryName=repository, maxResults=1)
    return bool(found["imageIds"])


def _cluster_is_protected(asked: Asked, cluster: str) -> bool:
    found = asked.client("eks").describe_cluster(name=cluster)["cluster"]
    return bool(found.get("deletionProtection"))


def _database_is_protected(asked: Asked, database: str) -> bool:
    rds = asked.client("rds")
    (found,) = rds.describe_db_instances(DBInstanceIdentifier=database)["DBInstances"]
    return bool(found["DeletionProtection"])


def _volumes(asked: Asked) -> Iterator[str]:
    """Yield the volumes of claims: the databases of MLflow and Kubeflow are on such ones."""
    for volume in pages(asked.client("ec2"), "describe_volumes", "Volumes"):
        tags = {tag["Key"]: tag["Value"] for tag in volume.get("Tags") or []}
        if asked.ours(volume.get("Tags")) and _CLAIM in tags:
            namespace = tags.get(_CLAIM_NAMESPACE, "")
            yield f"volume {volume['VolumeId']} of claim {namespace}/{tags[_CLAIM]}"


@dataclass(frozen=True, kw_only=True)
class _Holds:
    """How a type of resource is asked whether it keeps the stack.

    Attributes:
        what: what it holds, for the user.
        ask: whether it does.
        released: the input that says that it may go all the same.
    """

    what: str
    ask: Ask
    released: str


_HOLDS: Final = {
    _BUCKET: _Holds(
        what="objects or old versions in bucket", ask=_bucket_holds, released="forceDestroy"
    ),
    _REPOSITORY: _Holds(what="images in repository", ask=_repository_holds, released="forceDelete"),
    _CLUSTER: _Holds(what="the protected cluster", ask=_cluster_is_protected, released=""),
    _DATABASE: _Holds(what="the protected database", ask=_database_is_protected, released=""),
}
