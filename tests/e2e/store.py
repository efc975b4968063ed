"""A stack's object store, as its outputs tell of it."""

from collections.abc import Mapping
from typing import Any

from mlops_infra import object_store
from mlops_infra.object_store import Connection


def client(outputs: Mapping[str, Any]) -> Any:
    """Return a client of S3 with the keys of the stack's administrator."""
    return object_store.client(
        Connection(
            endpoint=outputs["s3_url"],
            region=outputs["s3_region"],
            access_key=outputs["s3_access_key"],
            secret_key=outputs["s3_secret_key"],
        )
    )
