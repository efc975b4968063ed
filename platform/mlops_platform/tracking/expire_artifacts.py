"""Delete artifacts by age, but for those of registered models; runs in a Job of MLflow's image.

Arguments: days, S3's address, the S3 address of what MLflow calls `mlflow-artifacts:/`, and the S3
addresses whose objects expire. MLFLOW_TRACKING_URI names the server.

Nothing is deleted unless the registry says what it holds. This file is the whole program: it is
passed to Python as text.
"""

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

_PAGE = 1000
_PROXIED = "mlflow-artifacts:"


def registered(client: Any, artifacts: str) -> set[str]:
    """Return the S3 addresses of registered versions' files and of the runs that made them.

    Args:
        client: of MLflow.
        artifacts: what stands for `mlflow-artifacts:/`.
    """
    found: set[str] = set()
    token = None
    while True:
        page = client.search_model_versions(max_results=_PAGE, page_token=token)
        for version in page:
            uris = [client.get_model_version_download_uri(version.name, version.version)]
            if version.run_id:
                try:
                    uris.append(client.get_run(version.run_id).info.artifact_uri)
                except MlflowException as error:
                    # The run was deleted for good; its model was not.
                    if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                        raise
            for uri in uris:
                found.add(address(uri, artifacts).rstrip("/") + "/")
        token = page.token
        if not token:
            return found


def address(uri: str, artifacts: str) -> str:
    """Return the S3 address of an artifact's URI.

    Raises:
        ValueError: it may be anywhere, so that nothing may be deleted.
    """
    if uri.startswith(_PROXIED):
        path = uri.removeprefix(_PROXIED)
        if path.startswith("//"):  # with the server's own address
            path = path.removeprefix("//").partition("/")[2]
        return f"{artifacts.rstrip('/')}/{path.lstrip('/')}"
    if uri.startswith(("models:", "runs:")):
        raise ValueError(f"MLflow does not say where {uri} is; nothing was deleted")
    return uri


def old(s3: Any, places: Iterable[str], before: datetime) -> Iterator[tuple[str, str]]:
    """Yield bucket and key of the objects below the places that were last written before then."""
    for place in places:
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                if found["LastModified"] < before:
                    yield bucket, found["Key"]


def expire(s3: Any, client: Any, artifacts: str, places: Iterable[str], before: datetime) -> int:
    """Delete what is old and belongs to no registered version; return how many objects."""
    candidates = list(old(s3, places, before))
    # Asked after the listing, so that what was registered meanwhile stays.
    kept = tuple(registered(client, artifacts))
    deleted = 0
    for bucket, key in candidates:
        if not f"s3://{bucket}/{key}".startswith(kept):
            s3.delete_object(Bucket=bucket, Key=key)
            deleted += 1
    return deleted


if __name__ == "__main__":
    days, endpoint, artifacts, *places = sys.argv[1:]
    count = expire(
        boto3.client("s3", endpoint_url=endpoint),
        MlflowClient(),
        artifacts,
        places,
        datetime.now(UTC) - timedelta(days=int(days)),
    )
    print(f"{count} artifacts older than {days} days deleted; those of registered models stay")
