"""Buckets that a destroy would refuse to delete, asked before it deletes anything else."""

from collections.abc import Iterable
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from mlops_infra import object_store
from mlops_infra.object_store import Connection, StoreAnswerError
from mlops_stack.pulumi_cli import Stack, plain

_BUCKET: Final = "pulumi-python:dynamic/mlops:Bucket"


class FullBucketsError(Exception):
    """Buckets hold data that nobody has released; the message names them and the remedy."""


def refuse(stack: Stack) -> None:
    """Refuse to destroy a stack of which a bucket holds data that must not be deleted.

    Each bucket refuses that itself, but when its turn comes the rest of the stack is gone.
    So does a store that does not answer, or that does not let itself be looked into: what cannot
    be asked may hold data.

    Raises:
        FullBucketsError: there is such a bucket, or the store does not say.
        PulumiError: the stack cannot be read.
    """
    resources = stack.resources()
    guarded = names(resources)
    connection = _connection(stack) if guarded else None
    if connection is None:
        return
    try:
        found = full(connection, guarded)
    except (BotoCoreError, ClientError, StoreAnswerError) as error:
        raise FullBucketsError(
            f"stack {stack.name} is not ephemeral, and whether its buckets hold data cannot be "
            f"told: {error}; nothing was destroyed. Let `make status STACK={stack.name}` reach S3 "
            "with the stack's keys (`make up` starts a cluster that has stopped), and then run "
            f"this again; `make down STACK={stack.name} REPLACE='*'` destroys it unlooked at"
        ) from error
    if found:
        raise FullBucketsError(
            f"stack {stack.name} is not ephemeral, and holds data in {', '.join(found)}; nothing "
            f"was destroyed. Copy what you need, set `mlops-platform:ephemeral: true` in "
            f"{stack.file().name}, run `make up STACK={stack.name}`, and then this again"
        )


def _connection(stack: Stack) -> Connection | None:
    """Return how the stack's S3 is reached; None when the state has no bucket that was made.

    The outputs would say it too, but an update that failed has none.
    """
    for resource in stack.resources(show_secrets=True):
        if resource["type"] == _BUCKET and resource.get("id"):
            made = {**(resource.get("inputs") or {}), **(resource.get("outputs") or {})}
            return Connection(
                **{
                    key: plain(made[key])
                    for key in ("endpoint", "region", "access_key", "secret_key")
                }
            )
    return None


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
