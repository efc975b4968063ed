"""A bucket, made through the S3 API, so that any S3-compatible store serves."""

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from mlops_infra import object_store
from mlops_infra.discreet_provider import DiscreetProvider
from mlops_infra.object_store import Connection


class BucketNotEmptyError(Exception):
    """A bucket that holds data was to be deleted in a stack that is not ephemeral."""


_CONNECTION = ("endpoint", "region", "access_key", "secret_key")
_OUTPUTS = ("versioning_status",)


def _connection(props: dict[str, Any]) -> Connection:
    return Connection(**{key: props[key] for key in _CONNECTION})


class BucketProvider(DiscreetProvider):
    """Creates, configures, reads and deletes one bucket."""

    serialize_as_secret_always = False

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse a name that no S3 store would take."""
        problem = object_store.bucket_name_problem(str(news["bucket"]))
        failures = [CheckFailure("bucket", problem)] if problem else []
        return CheckResult(news, failures)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Replace for another name; a moved endpoint or new credentials are updates.

        So is versioning that someone has switched, once a refresh has seen it.
        """
        changed = [key for key in news if key != "__provider" and olds.get(key) != news[key]]
        changed = [key for key in changed if key not in _OUTPUTS]
        against = ("Off", "Suspended") if news["versioning"] else ("Enabled",)
        if olds.get("versioning_status") in against and "versioning" not in changed:
            changed.append("versioning")
        return DiffResult(
            changes=bool(changed),
            replaces=[key for key in changed if key == "bucket"],
            delete_before_replace=False,
        )

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Create the bucket, or adopt the stack's own one after an interrupted run."""
        return CreateResult(props["bucket"], self._apply(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Bring versioning to what is wanted."""
        return UpdateResult(self._apply(news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the bucket as it is; no bucket gives an empty id, which drops it from state."""
        client = object_store.client(_connection(props))
        if not object_store.bucket_exists(client, id_):
            return ReadResult("", {})
        return ReadResult(
            id_, {**props, "versioning_status": object_store.versioning_status(client, id_)}
        )

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """Delete the bucket.

        Raises:
            BucketNotEmptyError: it holds objects and `force_destroy` is off.
        """
        client = object_store.client(_connection(props))
        if not object_store.bucket_exists(client, id_):
            return
        if props["force_destroy"]:
            object_store.empty_bucket(client, id_)
        elif not object_store.bucket_is_empty(client, id_):
            raise BucketNotEmptyError(
                f"bucket {id_!r} holds objects and the stack is not ephemeral; copy or delete "
                "them first, or allow it with `pulumi config set ephemeral true` and `pulumi up`"
            )
        client.delete_bucket(Bucket=id_)

    @staticmethod
    def _apply(props: dict[str, Any]) -> dict[str, Any]:
        client = object_store.client(_connection(props))
        bucket = props["bucket"]
        object_store.create_bucket(client, bucket)
        versioning = object_store.set_versioning(client, bucket, enabled=props["versioning"])
        return {**props, "versioning_status": versioning}


@dataclass(frozen=True, kw_only=True)
class BucketArgs:
    """What a bucket needs.

    Attributes:
        bucket: its name.
        endpoint: URL of the S3 API as this machine reaches it.
        region: region that requests are signed for.
        access_key: S3 access key, secret.
        secret_key: S3 secret key, secret.
        versioning: whether old versions of objects are kept, where the store offers it.
        force_destroy: whether deletion may empty the bucket.
    """

    bucket: str
    endpoint: pulumi.Input[str]
    region: str
    access_key: pulumi.Input[str]
    secret_key: pulumi.Input[str]
    versioning: bool = False
    force_destroy: bool = False


class Bucket(Resource, module="mlops", name="Bucket"):
    """A bucket in an S3-compatible store.

    Attributes:
        bucket: its name.
        versioning_status: Enabled, Suspended, Off or NotOffered.
    """

    bucket: pulumi.Output[str]
    versioning_status: pulumi.Output[str]

    def __init__(
        self, name: str, args: BucketArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        outputs: dict[str, None] = dict.fromkeys(_OUTPUTS)
        # vars, not asdict: asdict would deep-copy the outputs among the arguments.
        super().__init__(BucketProvider(), name, {**vars(args), **outputs}, opts)
