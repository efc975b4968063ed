"""A shared cache in a bucket, with the AWS SDK's own variables for keys, region and endpoint."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import boto3
import urllib3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from mlops_toolchain.shared_cache.store import (
    CONNECT_SECONDS,
    READ_SECONDS,
    ForbiddenError,
    NotThereError,
    StoreError,
    TransferError,
)

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_NOT_THERE = ("NoSuchKey", "404")
_FORBIDDEN = ("AccessDenied", "403")


class S3Store:
    """Objects of a bucket, below a prefix; implements `store.Store`."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self.shown = f"s3://{bucket}/{prefix}".rstrip("/")
        own = any(os.environ.get(name) for name in _ENDPOINTS)
        try:
            # The module's own session keeps the keys of its first client.
            self._s3: S3Client = boto3.session.Session().client(
                "s3",
                config=Config(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    retries={"max_attempts": 2, "mode": "standard"},
                    # A bucket's own host name is in AWS's DNS alone.
                    s3={"addressing_style": "path" if own else "auto"},
                    # Newer defaults add trailing checksums that not every gateway understands.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
        except (BotoCoreError, ValueError) as error:
            raise self._error(error) from None

    @contextmanager
    def read(self, path: str) -> Iterator[BinaryIO]:
        """Get an object."""
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + path)
        except (BotoCoreError, ClientError) as error:
            raise self._error(error) from None
        # The SDK's own stream waits until it has all that was asked for, however slowly it comes;
        # entering it gives the one below, which does not.
        with answer["Body"] as stream:
            yield cast(BinaryIO, _Body(stream, answer["ContentLength"], self.shown))

    def size(self, path: str) -> int | None:
        """Ask for an object's size."""
        try:
            answer = self._s3.head_object(Bucket=self._bucket, Key=self._prefix + path)
        except (BotoCoreError, ClientError) as error:
            found = self._error(error)
            if isinstance(found, NotThereError):
                return None
            raise found from None
        return answer["ContentLength"]

    def write(self, path: str, content: BinaryIO) -> None:
        """Put an object, in parts if it is large; S3 shows it once it is complete."""
        try:
            self._s3.upload_fileobj(content, self._bucket, self._prefix + path)
        except (BotoCoreError, ClientError, boto3.exceptions.Boto3Error) as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> StoreError:
        """Return what an SDK's error means; its own words may have keys or an address in them."""
        if isinstance(error, ClientError):
            code = str(error.response.get("Error", {}).get("Code", "an error"))
            if code in _NOT_THERE:
                return NotThereError(f"{self.shown} has no such object")
            forbidden = code in _FORBIDDEN
            return (ForbiddenError if forbidden else StoreError)(f"{self.shown} refuses: {code}")
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            return StoreError(
                f"no keys for {self.shown}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                "AWS_PROFILE"
            )
        if isinstance(error, ValueError):
            return StoreError(f"{self.shown}: {' or '.join(_ENDPOINTS)} is no address")
        return StoreError(f"{self.shown} does not answer ({type(error).__name__})")


class _Body:
    """An object's content as a stream that never waits for more than the next bytes."""

    def __init__(self, stream: Any, size: int, shown: str) -> None:
        self._stream: urllib3.HTTPResponse = stream
        self._left = size
        self._shown = shown

    def read(self, size: int = -1) -> bytes:
        """Read what has come, at most so many bytes; nothing at the end."""
        try:
            data = self._stream.read1(None if size < 0 else size)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise TransferError(
                f"the transfer from {self._shown} was cut ({type(error).__name__})"
            ) from None
        self._left -= len(data)
        if not data and size and self._left:
            raise TransferError(f"the transfer from {self._shown} was cut ({self._left} bytes)")
        return data
