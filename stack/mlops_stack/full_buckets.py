"""Buckets that a destroy would refuse to delete, asked before it deletes anything else."""

from collections.abc import Iterable
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from mlops_infra import object_store
from mlops_infra.object_store import Connection, StoreAnswerError
from mlops_stack import report
from mlops_stack.pulumi_cli import Stack

_BUCKET: Final = "pulumi-python:dynamic/mlops:Bucket"
_REGION: Final = "us-east-1"


class FullBucketsError(Exception):
    """Buckets hold data that nobody has released; the message names them and the remedy."""


def refuse(stack: Stack) -> None:
    """Refuse to destroy a stack of which a bucket holds data that must not be deleted.

    Each bucket refuses that itself, but when its turn comes the rest of the stack is gone.
    A store that does not answer refuses nothing: its cluster may be dead. One that answers and
    does not let itself be looked into does refuse.

    Raises:
        FullBucketsError: there is such a bucket, or the store does not say.
        PulumiError: the stack cannot be read.
    """
    guarded = names(stack.resources())
    outputs = stack.outputs() if guarded else {}
    if not {"s3_url", "s3_access_key", "s3_secret_key"} <= outputs.keys():
        return
    connection = Connection(
        endpoint=outputs["s3_url"],
        region=outputs.get("s3_region", _REGION),
        access_key=outputs["s3_access_key"],
        secret_key=outputs["s3_secret_key"],
    )
    try:
        found = full(connection, guarded)
    except (ClientError, StoreAnswerError) as error:
        raise FullBucketsError(
            f"stack {stack.name} is not ephemeral, and whether its buckets hold data cannot be "
            f"told: {error}; nothing was destroyed. Let `make status STACK={stack.name}` reach S3 "
            "with the stack's keys, and then run this again"
        ) from error
    except BotoCoreError as error:
        report.plain(f"the buckets cannot be looked into: {error}")
        return
    if found:
        raise FullBucketsError(
            f"stack {stack.name} is not ephemeral, and holds data in {', '.join(found)}; nothing "
            f"was destroyed. Copy what you need, set `mlops-platform:ephemeral: true` in "
            f"{stack.file().name}, run `make up STACK={stack.name}`, and then this again"
        )


def names(resources: Iterable[dict[str, Any]]) -> list[str]:
    """Return the buckets in a stack's state that may not be emptied."""
    return [
        str(found["inputs"]["bucket"])
        for found in resources
        if found["type"] == _BUCKET and not found["inputs"].get("force_destroy")
    ]


def full(connection: Connection, buckets: Iterable[str]) -> list[str]:
    """Return which of the buckets hold objects or old versions of some.

    Raises:
        BotoCoreError: the store does not answer.
        ClientError: it refuses.
        StoreAnswerError: something else answers.
    """
    s3 = object_store.client(connection)
    return [
        bucket
        for bucket in buckets
        if object_store.bucket_exists(s3, bucket) and not object_store.bucket_is_empty(s3, bucket)
    ]
