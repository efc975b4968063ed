"""The buckets' objects, to an export and back."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from mlops_infra import object_store
from mlops_infra.object_store import Connection
from mlops_stack.backup.archive import Archive, Content, Index, IndexWriter, Object
from mlops_stack.backup.errors import KeepError
from mlops_stack.backup.progress import Progress

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_OF_MODELS: Final = ("artifacts", "models")
_OF_STACKS: Final = ("datasets", "artifacts", "models", "pipelines")
_CHUNK_BYTES = 1 << 20
# As workloads/flight_serving/prediction_log.py writes them.
_PREDICTIONS = "predictions/"
# What a writer may have said of an object beside its type, as botocore names it.
_HEADERS: Final = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage")


class Store:
    """The buckets of a stack, by purpose."""

    def __init__(self, outputs: dict[str, Any]) -> None:
        """Take the stack's outputs.

        Raises:
            KeepError: they do not tell where the buckets are.
        """
        try:
            self._names: dict[str, str] = dict(outputs["buckets"])
            # AWS's own S3 has no keys of the stack, and its buckets are the whole account's.
            self.own = bool(outputs["s3_access_key"])
            self._s3: S3Client = object_store.client(
                Connection(
                    endpoint=outputs["s3_url"],
                    region=outputs["s3_region"],
                    access_key=outputs["s3_access_key"],
                    secret_key=outputs["s3_secret_key"],
                )
            )
        except KeyError as missing:
            raise KeepError(
                f"the stack has no output {missing}; `make up` adds it, then run this again"
            ) from None
        if self.own:
            self._names |= {name: name for name in _OF_STACKS if name not in self._names}

    @property
    def known(self) -> frozenset[str]:
        """Return the purposes of the stack's buckets, and the names of those made since."""
        return frozenset(self._names)

    def buckets(self, kept: str) -> tuple[str, ...]:
        """Return the buckets that an export has, by purpose or, users' own, by name.

        Args:
            kept: models or all.

        Raises:
            KeepError: S3 refuses, or the stack does not tell its buckets' names.
        """
        if kept == "models":
            return _OF_MODELS
        if missing := set(_OF_STACKS) - set(self._names):
            raise KeepError(
                f"the stack does not tell where its bucket {min(missing)} is; `make up` adds that, "
                "then run this again"
            )
        if self.own:
            try:
                found = [bucket["Name"] for bucket in self._s3.list_buckets()["Buckets"]]
            except (BotoCoreError, ClientError) as error:
                raise KeepError(f"the buckets cannot be listed: {error}") from error
            ours = set(self._names.values())
            self._names |= {name: name for name in found if name not in ours}
        return tuple(self._names)

    def versioned(self, buckets: tuple[str, ...]) -> tuple[str, ...]:
        """Return those buckets that keep old versions of objects.

        Raises:
            KeepError: S3 refuses.
        """
        return tuple(bucket for bucket in buckets if self._is_versioned(bucket))

    def sizes(self, buckets: tuple[str, ...], *, versions: bool) -> dict[str, tuple[int, int]]:
        """Return how many objects each bucket has, and their bytes.

        Args:
            buckets: the buckets.
            versions: whether old versions count too.

        Raises:
            KeepError: S3 refuses.
        """
        found = {}
        for bucket in buckets:
            count = size = 0
            for held in self._held(bucket, versions=versions):
                count, size = count + 1, size + held.get("Size", 0)
            found[bucket] = (count, size)
        return found

    def state(self, buckets: tuple[str, ...]) -> dict[str, str]:
        """Return a checksum of the names, versions and times of what each bucket holds.

        Logs of predictions are left out: whoever asks a model writes them, up to the end.

        Raises:
            KeepError: S3 refuses.
        """
        found = {}
        for bucket in buckets:
            digest = hashlib.sha256()
            for held in self._held(bucket, versions=False):
                if not held["Key"].startswith(_PREDICTIONS):
                    words = (held["Key"], held["ETag"], held["Size"], held["LastModified"])
                    digest.update("\n".join(map(str, words)).encode())
            found[f"bucket {bucket}"] = digest.hexdigest()
        return found

    def save(
        self, archive: Archive, buckets: tuple[str, ...], *, versions: bool, progress: Progress
    ) -> Index:
        """Copy every object into an export.

        Args:
            archive: the export.
            buckets: the buckets.
            versions: whether old versions go too, where a bucket keeps them.
            progress: told of each object.

        Raises:
            KeepError: S3 refuses, or sends less than it holds.
        """
        versioned = self.versioned(buckets) if versions else ()
        with IndexWriter(archive) as index:
            for bucket in buckets:
                for held in self._held(bucket, versions=bucket in versioned):
                    found = self._save(archive, bucket, held)
                    if found:
                        index.add(found)
                    progress.add(held.get("Size", 0))
            return index.close(buckets, versioned)

    def create(self, bucket: str) -> None:
        """Create a bucket that the stack itself does not make.

        Raises:
            KeepError: S3 refuses.
        """
        if bucket in self._names:
            return
        try:
            object_store.create_bucket(self._s3, bucket)
        except (BotoCoreError, ClientError) as error:
            raise KeepError(f"bucket {bucket} cannot be made: {error}") from error
        self._names[bucket] = bucket

    def load(self, archive: Archive, key_objects: list[Object]) -> None:
        """Copy the versions of one key into its bucket, and prove that the last of them is there.

        An interrupted import may have done so; then nothing is written.

        Args:
            archive: the export.
            key_objects: objects of the same bucket and key, the oldest first.

        Raises:
            KeepError: S3 refuses, or holds something else.
        """
        last = key_objects[-1]
        bucket, key = self._names[last.bucket], last.key
        try:
            if len(key_objects) > 1 and self._has(bucket, key, key_objects):
                return
            for found in key_objects:
                self._put(archive, bucket, found)
            if last.content:
                self._prove(bucket, key, last.content)
        except (BotoCoreError, ClientError) as error:
            raise KeepError(f"{key} cannot be copied to bucket {bucket}: {error}") from error

    def _put(self, archive: Archive, bucket: str, found: Object) -> None:
        if found.content is None:
            self._s3.delete_object(Bucket=bucket, Key=found.key)
            return
        options: dict[str, Any] = {"Metadata": found.metadata, **found.headers}
        if found.content_type:
            options["ContentType"] = found.content_type
        with archive.object(found.content).open("rb") as body:
            self._s3.upload_fileobj(body, bucket, found.key, ExtraArgs=options)
        if found.tags:
            tags: Any = [{"Key": name, "Value": value} for name, value in found.tags.items()]
            self._s3.put_object_tagging(Bucket=bucket, Key=found.key, Tagging={"TagSet": tags})

    def _prove(self, bucket: str, key: str, content: Content) -> None:
        stored = self._s3.get_object(Bucket=bucket, Key=key)["Body"]
        digest, size = hashlib.sha256(), 0
        for chunk in stored.iter_chunks(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
        if Content(bytes=size, sha256=digest.hexdigest()) != content:
            raise KeepError(f"bucket {bucket} does not hold {key} as it was exported")

    def _has(self, bucket: str, key: str, wanted: list[Object]) -> bool:
        """Return whether a bucket has as many versions of a key, of the same sizes."""
        pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
        held = [found for found in _in_order(pages) if found["Key"] == key]
        return [found.get("Size") for found in held] == [
            found.content.bytes if found.content else None for found in wanted
        ]

    def _save(self, archive: Archive, purpose: str, held: dict[str, Any]) -> Object | None:
        bucket, key = self._names[purpose], held["Key"]
        if "Size" not in held:
            return Object(bucket=purpose, key=key)
        version = {"VersionId": held["VersionId"]} if "VersionId" in held else {}
        try:
            answer: Any = self._s3.get_object(Bucket=bucket, Key=key, **version)
            content = archive.store(answer["Body"].iter_chunks(_CHUNK_BYTES))
            tags = (
                self._s3.get_object_tagging(Bucket=bucket, Key=key, **version)["TagSet"]
                if answer.get("TagCount")
                else []
            )
        except (BotoCoreError, ClientError) as error:
            if self._was_deleted(bucket, key, error):
                return None
            raise KeepError(f"{key} of bucket {bucket} cannot be read: {error}") from error
        if content.bytes != answer["ContentLength"]:
            raise KeepError(
                f"{key} of bucket {bucket} broke off after {content.bytes} of "
                f"{answer['ContentLength']} bytes; run the command again"
            )
        return Object(
            bucket=purpose,
            key=key,
            content=content,
            content_type=answer.get("ContentType", ""),
            metadata=answer.get("Metadata", {}),
            headers={name: str(answer[name]) for name in _HEADERS if answer.get(name)},
            tags={tag["Key"]: tag["Value"] for tag in tags},
        )

    def _was_deleted(self, bucket: str, key: str, error: Exception) -> bool:
        """Return whether an object that cannot be read is one that is no longer listed.

        One that is listed and not found would be lost without a word.
        """
        if not isinstance(error, ClientError) or error.response["Error"].get("Code") != "NoSuchKey":
            return False
        page = self._s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
        return all(found["Key"] != key for found in page.get("Contents", []))

    def _is_versioned(self, purpose: str) -> bool:
        bucket = self._names[purpose]
        try:
            return object_store.versioning_status(self._s3, bucket) in ("Enabled", "Suspended")
        except (BotoCoreError, ClientError) as error:
            raise KeepError(f"bucket {bucket} does not tell of its versions: {error}") from error

    def _held(self, purpose: str, *, versions: bool) -> Iterator[dict[str, Any]]:
        """Return what a bucket holds; of versioned objects the oldest version first."""
        bucket = self._names[purpose]
        try:
            if versions and self._is_versioned(purpose):
                pages: Any = self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
                yield from _in_order(pages)
                return
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for found in page.get("Contents", []):
                    yield dict(found)
        except (BotoCoreError, ClientError) as error:
            raise KeepError(f"bucket {bucket} cannot be listed: {error}") from error


def _in_order(pages: Any) -> Iterator[dict[str, Any]]:
    """Return versions and marks of deletions, those of each key together, the oldest first."""
    held: dict[str, dict[str, dict[str, Any]]] = {}
    for page in pages:
        for found in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            # By version: some gateways begin a page with the end of the one before.
            held.setdefault(found["Key"], {})[found["VersionId"]] = dict(found)
        # The next page may go on with the versions of this key.
        cut = page.get("NextKeyMarker") if page.get("IsTruncated") else None
        for key in [key for key in held if key != cut]:
            yield from _oldest_first([*held.pop(key).values()])
    for versions in held.values():
        yield from _oldest_first([*versions.values()])


def _oldest_first(versions: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    # They come with the newest first. Times may be equal: then the order of the list counts.
    versions.sort(key=lambda found: found["LastModified"], reverse=True)
    versions.sort(key=lambda found: not found.get("IsLatest"))
    yield from reversed(versions)
