"""A data set of the toolchain, uploaded once to a bucket."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import (
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from mlops_infra import object_store
from mlops_infra.buckets import Buckets
from mlops_infra.discreet_provider import DiscreetProvider
from mlops_infra.object_store import Connection

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_CONNECTION = ("endpoint", "region", "access_key", "secret_key")
# Present when every file of this version is there, so that a half-finished upload shows.
_COMPLETE = "_COMPLETE"


def _client(props: dict[str, Any]) -> "S3Client":
    return object_store.client(Connection(**{key: props[key] for key in _CONNECTION}))


class DatasetNotBuiltError(pulumi.RunError):
    """The toolchain has not made the data set on this machine."""


class DatasetProvider(DiscreetProvider):
    """Uploads a folder of Parquet files under a prefix that names their version."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Upload every file, and the mark of completeness last.

        Raises:
            DatasetNotBuiltError: the toolchain has not made that version of the data set.
        """
        # The folder is found where the work is done, so that no path enters the state.
        from mlops_toolchain import datasets  # noqa: PLC0415
        from mlops_toolchain.errors import ToolchainError  # noqa: PLC0415

        name, _, version = props["prefix"].rpartition("/")
        try:
            source = datasets.folder(name, version)
        except ToolchainError as error:
            raise DatasetNotBuiltError(str(error)) from error
        files = sorted(source.rglob("*.parquet"))
        if not files:
            raise DatasetNotBuiltError(f"{source} holds no Parquet files; run `make toolchain`")
        client = _client(props)
        bucket, prefix = props["bucket"], props["prefix"]
        for file in files:
            key = f"{prefix}/{file.relative_to(source)}"
            client.upload_file(str(file), bucket, key)
        client.put_object(Bucket=bucket, Key=f"{prefix}/{_COMPLETE}", Body=b"")
        return CreateResult(f"{bucket}/{prefix}", {**props, "files": len(files)})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Replace for another bucket or version; a moved endpoint is an update."""
        replaces = [key for key in ("bucket", "prefix") if olds.get(key) != news.get(key)]
        moved = any(olds.get(key) != news.get(key) for key in _CONNECTION)
        return DiffResult(changes=bool(replaces) or moved, replaces=replaces)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Take the new endpoint or credentials; the files stay."""
        return UpdateResult({**news, "files": olds["files"]})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the data set; an incomplete one gives an empty id, which drops it from state."""
        client = _client(props)
        if not object_store.bucket_exists(client, props["bucket"]):
            return ReadResult("", {})
        complete = f"{props['prefix']}/{_COMPLETE}"
        if not object_store.has_object(client, props["bucket"], prefix=complete):
            return ReadResult("", {})
        return ReadResult(id_, props)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Delete the files of this version."""
        client = _client(props)
        bucket = props["bucket"]
        if not object_store.bucket_exists(client, bucket):
            return
        object_store.empty_bucket(client, bucket, prefix=f"{props['prefix']}/")


@dataclass(frozen=True, kw_only=True)
class DatasetArgs:
    """What an uploaded data set needs.

    Attributes:
        buckets: the stack's buckets; the data goes to `datasets`.
        name: the toolchain's name of the data set, and the first part of the prefix.
        version: its version, and the second part of the prefix.
    """

    buckets: Buckets
    name: str
    version: str


class Dataset(Resource, module="mlops", name="Dataset"):
    """Parquet files in the `datasets` bucket.

    Attributes:
        bucket: the bucket.
        prefix: prefix of every file, without a slash at its end.
        files: number of files.
    """

    bucket: pulumi.Output[str]
    prefix: pulumi.Output[str]
    files: pulumi.Output[int]

    def __init__(
        self, name: str, args: DatasetArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        store = args.buckets.store
        super().__init__(
            DatasetProvider(),
            name,
            {
                "bucket": args.buckets.datasets,
                "prefix": f"{args.name}/{args.version}",
                "endpoint": store.endpoint,
                "region": store.region,
                "access_key": store.access_key,
                "secret_key": store.secret_key,
                "files": None,
            },
            opts,
        )
        self.uri = pulumi.Output.format("s3://{0}/{1}", self.bucket, self.prefix)
