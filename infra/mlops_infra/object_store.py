"""S3 calls that the bucket and dataset resources share; no Pulumi in here."""

import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from mlops_infra import direct

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"([0-9]+\.){3}[0-9]+")
_NOT_FOUND = 404
_NOT_OFFERED = {"NotImplemented", "VersioningNotConfigured", "MethodNotAllowed"}
_OURS_ALREADY = {"BucketAlreadyOwnedByYou"}


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Where an S3 API is and who asks.

    Attributes:
        endpoint: URL, for example http://10.210.255.2:30070.
        region: region that requests are signed for.
        access_key: access key.
        secret_key: secret key; never shown.
    """

    endpoint: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


def client(connection: Connection) -> "S3Client":
    """Return an S3 client that gives up after bounded retries.

    A store at a private address is the stack's own: whatever the shell says of AWS (profile, files,
    endpoints, certificates) or of a proxy is somebody else's business and is not read.
    """
    # Imported here: the Pulumi program registers buckets but never talks to S3, and each preview
    # would pay for the import.
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    own = direct.is_private(connection.endpoint)
    # An empty mapping would mean: those of the environment. The stubs know no None in it.
    no_proxies: Any = {"http": None, "https": None}
    session = boto3.session.Session(
        botocore_session=_isolated_session() if own else None,
        aws_access_key_id=connection.access_key,
        aws_secret_access_key=connection.secret_key,
        region_name=connection.region,
    )
    return session.client(
        "s3",
        endpoint_url=connection.endpoint,
        config=Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"max_attempts": 4, "mode": "standard"},
            s3={"addressing_style": "path", "us_east_1_regional_endpoint": "regional"},
            proxies=no_proxies if own else None,
            # Newer defaults add trailing checksums that not every gateway understands.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _isolated_session() -> Any:
    """Return botocore's session without any variable of the environment or file of the user."""
    from botocore import configprovider, session  # noqa: PLC0415

    known = configprovider.BOTOCORE_DEFAUT_SESSION_VARIABLES
    variables = {
        name: (key, None, default, cast) for name, (key, _, default, cast) in known.items()
    }
    for file in ("config_file", "credentials_file"):
        variables[file] = (None, None, os.devnull, None)
    isolated = session.Session(session_vars=variables)
    isolated.register_component("data_loader", _descriptions())
    return isolated


@functools.cache
def _descriptions() -> Any:
    """Return what reads the descriptions of AWS's services, once for all clients."""
    from botocore.loaders import create_loader  # noqa: PLC0415

    return create_loader()


def bucket_name_problem(bucket: str) -> str | None:
    """Return why S3 would refuse this name and what to do, or None."""
    if _BUCKET_NAME.fullmatch(bucket) and ".." not in bucket and not _ADDRESS.fullmatch(bucket):
        return None
    return (
        f"{bucket!r} is no bucket name: use 3 to 63 lower-case letters, digits, dots and hyphens, "
        "begin and end with a letter or digit, and do not write an IP address"
    )


class StoreAnswerError(Exception):
    """What answered is not the S3 store that was asked; the message names it and the remedy."""


def bucket_exists(s3: "S3Client", bucket: str) -> bool:
    """Return whether the bucket exists.

    A bucket is missing only when the store accepts the keys and does not list it. A status of 404
    alone says too little: a gateway gives it for keys that it does not know, a proxy for
    everything.

    Raises:
        ClientError: the store refuses the request, or the list of buckets.
        StoreAnswerError: the answers contradict each other, or come from something else.
    """
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if _status(error) != _NOT_FOUND:
            raise
    else:
        return True
    if bucket in _bucket_names(s3):
        raise StoreAnswerError(
            f"S3 at {s3.meta.endpoint_url} lists bucket {bucket!r} and says that it is not there; "
            "nothing was changed: run the command again"
        )
    return False


def _bucket_names(s3: "S3Client") -> set[str]:
    """Return the names of the buckets that the owner of the keys has."""
    names: set[str] = set()
    for page in s3.get_paginator("list_buckets").paginate():
        _expect(s3, page, "Buckets")
        names.update(found["Name"] for found in page["Buckets"])
    return names


def _expect(s3: "S3Client", answer: Any, element: str) -> None:
    """Refuse an answer without an element that S3 always sends.

    A page of a proxy or of another server can be read as an answer without content.
    """
    if element not in answer:
        raise StoreAnswerError(
            f"what answers at {s3.meta.endpoint_url} is not S3; nothing was changed: look for a "
            "proxy or another server at that address"
        )


def create_bucket(s3: "S3Client", bucket: str) -> None:
    """Create the bucket, or take it as it is when it is ours already."""
    region = s3.meta.region_name
    # The first region of all is the default, and S3 refuses it by name.
    where: Any = {"LocationConstraint": region}
    options = {} if region == "us-east-1" else {"CreateBucketConfiguration": where}
    try:
        s3.create_bucket(Bucket=bucket, **options)
    except ClientError as error:
        # Of a former account of the store, after a takeover: the store's own keys see it all the
        # same. Nobody else's keys list it.
        taken_up = _code(error) == "BucketAlreadyExists" and bucket in _bucket_names(s3)
        if _code(error) not in _OURS_ALREADY and not taken_up:
            raise


def set_versioning(s3: "S3Client", bucket: str, *, enabled: bool) -> str:
    """Set versioning and return Enabled, Suspended, Off, or NotOffered by this store."""
    current = versioning_status(s3, bucket)
    if current == "NotOffered" or (not enabled and current != "Enabled"):
        return current
    wanted: Any = "Enabled" if enabled else "Suspended"
    try:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": wanted})
    except ClientError as error:
        if _code(error) in _NOT_OFFERED:
            return "NotOffered"
        raise
    return str(wanted)


def versioning_status(s3: "S3Client", bucket: str) -> str:
    """Return Enabled, Suspended, Off, or NotOffered by this store."""
    try:
        return s3.get_bucket_versioning(Bucket=bucket).get("Status", "Off")
    except ClientError as error:
        if _code(error) in _NOT_OFFERED:
            return "NotOffered"
        raise


def bucket_is_empty(s3: "S3Client", bucket: str) -> bool:
    """Return whether the bucket holds neither objects nor old versions."""
    return not has_object(s3, bucket) and not next(_versions(s3, bucket), None)


def has_object(s3: "S3Client", bucket: str, *, prefix: str = "") -> bool:
    """Return whether the bucket holds an object whose key begins with the prefix.

    Raises:
        ClientError: the store refuses.
        StoreAnswerError: the answer is no listing of this bucket.
    """
    page = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
    _expect(s3, page, "Name")
    return bool(page.get("Contents"))


def empty_bucket(s3: "S3Client", bucket: str, *, prefix: str = "") -> None:
    """Delete every object and every old version whose key begins with the prefix."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        _delete(s3, bucket, [{"Key": found["Key"]} for found in page.get("Contents", [])])
    batch: list[dict[str, str]] = []
    for version in _versions(s3, bucket, prefix):
        batch.append(version)
        if len(batch) == 1000:  # the API's limit for one request
            _delete(s3, bucket, batch)
            batch = []
    _delete(s3, bucket, batch)


def _versions(s3: "S3Client", bucket: str, prefix: str = "") -> Iterator[dict[str, str]]:
    try:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            _expect(s3, page, "Name")
            for found in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                yield {"Key": found["Key"], "VersionId": found["VersionId"]}
    except ClientError as error:
        if _code(error) not in _NOT_OFFERED:
            raise


def _delete(s3: "S3Client", bucket: str, objects: list[dict[str, str]]) -> None:
    if not objects:
        return
    wanted: Any = {"Objects": objects, "Quiet": True}
    errors = s3.delete_objects(Bucket=bucket, Delete=wanted).get("Errors", [])
    if errors:
        first = errors[0]
        raise RuntimeError(
            f"{len(errors)} objects of bucket {bucket!r} could not be deleted, first "
            f"{first.get('Key')!r}: {first.get('Message')}; run the command again"
        )


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
