"""The buckets' objects, to an export and back."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, get_args

from botocore.exceptions import BotoCoreError, ClientError

from mlops_infra import object_store
from mlops_infra.object_store import Connection
from mlops_stack.keeping.archive import Archive, Content, Object
from mlops_stack.keeping.errors import KeepError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

PURPOSES: tuple[str, ...] = get_args(Object.model_fields["bucket"].annotation)
_CHUNK_BYTES = 1 << 20
# As workloads/flight_serving/prediction_log.py writes them.
_PREDICTIONS = "predictions/"


class Store:
    """The buckets of a stack, by purpose."""

    def __init__(self, outputs: dict[str, Any]) -> None:
        """Take the stack's outputs.

        Raises:
            KeepError: they do not tell where the buckets are.
        """
        try:
            self._names: dict[str, str] = outputs["buckets"]
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

    def size(self) -> int:
        """Return the bytes of all objects.

        Raises:
            KeepError: S3 refuses.
        """
        return sum(found["Size"] for purpose in PURPOSES for found in self._listed(purpose))

    def state(self) -> dict[str, str]:
        """Return a checksum of the names, versions and times of what each bucket holds.

        Logs of predictions are left out: whoever asks a model writes them, up to the end.

        Raises:
            KeepError: S3 refuses.
        """
        found = {}
        for purpose in PURPOSES:
            digest = hashlib.sha256()
            for held in self._listed(purpose):
                if not held["Key"].startswith(_PREDICTIONS):
                    words = (
                        held["Key"],
                        held["ETag"],
                        str(held["Size"]),
                        str(held["LastModified"]),
                    )
                    digest.update("\n".join(words).encode())
            found[f"bucket {purpose}"] = digest.hexdigest()
        return found

    def save(self, archive: Archive) -> list[Object]:
        """Copy every object into an export.

        Raises:
            KeepError: S3 refuses, or sends less than it holds.
        """
        return [
            self._save(archive, purpose, found["Key"])
            for purpose in PURPOSES
            for found in self._listed(purpose)
        ]

    def load(self, archive: Archive, found: Object) -> None:
        """Copy an object of an export into its bucket, and prove that it is there.

        Raises:
            KeepError: S3 refuses, or holds something else.
        """
        bucket = self._names[found.bucket]
        try:
            with archive.object(found.content).open("rb") as body:
                self._s3.upload_fileobj(
                    body,
                    bucket,
                    found.key,
                    ExtraArgs={
                        "Metadata": found.metadata,
                        **({"ContentType": found.content_type} if found.content_type else {}),
                    },
                )
            stored = self._s3.get_object(Bucket=bucket, Key=found.key)["Body"]
            digest, size = hashlib.sha256(), 0
            for chunk in stored.iter_chunks(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
        except (BotoCoreError, ClientError) as error:
            raise KeepError(f"{found.key} cannot be copied to bucket {bucket}: {error}") from error
        if Content(bytes=size, sha256=digest.hexdigest()) != found.content:
            raise KeepError(f"bucket {bucket} does not hold {found.key} as it was exported")

    def _save(self, archive: Archive, purpose: str, key: str) -> Object:
        bucket = self._names[purpose]
        try:
            answer = self._s3.get_object(Bucket=bucket, Key=key)
            content = archive.store(answer["Body"].iter_chunks(_CHUNK_BYTES))
        except (BotoCoreError, ClientError) as error:
            raise KeepError(f"{key} of bucket {bucket} cannot be read: {error}") from error
        if content.bytes != answer["ContentLength"]:
            raise KeepError(
                f"{key} of bucket {bucket} broke off after {content.bytes} of "
                f"{answer['ContentLength']} bytes; run the command again"
            )
        return Object.model_validate(
            {
                "bucket": purpose,
                "key": key,
                "content": content,
                "content_type": answer.get("ContentType", ""),
                "metadata": answer.get("Metadata", {}),
            }
        )

    def _listed(self, purpose: str) -> Iterator[Any]:
        bucket = self._names[purpose]
        try:
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                yield from page.get("Contents", [])
        except (BotoCoreError, ClientError) as error:
            raise KeepError(f"bucket {bucket} cannot be listed: {error}") from error
