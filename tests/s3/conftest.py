"""Every test of S3, against each store; a bucket of its own for each test."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from mlops_infra import object_store
from tests.s3 import stores
from tests.s3.limits import Limit, limits
from tests.s3.stores import Store

NAMES = ["gateway", "moto", *(["address"] if stores.address() else [])]


@pytest.fixture(scope="session", params=NAMES)
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """Return each store in turn: the gateway, moto, and the one that $S3_TEST_ENDPOINT names."""
    if request.param == "gateway":
        with stores.gateway(tmp_path_factory.mktemp("gateway")) as found:
            yield found
    elif request.param == "moto":
        with stores.moto() as found:
            yield found
    else:
        named = stores.address()
        assert named
        yield named


@pytest.fixture
def s3(store: Store) -> Any:
    """Return a client of the store, with the SDK's defaults."""
    return store.client()


@pytest.fixture
def bucket(s3: Any) -> Iterator[str]:
    """Return a bucket that is empty, and gone after the test."""
    name = f"test-{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name)
    yield name
    for upload in s3.list_multipart_uploads(Bucket=name).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    object_store.empty_bucket(s3, name)
    s3.delete_bucket(Bucket=name)


@pytest.fixture
def limit(request: pytest.FixtureRequest, store: Store) -> Limit | None:
    """Return what docs/s3.md says that the gateway answers, None for what S3 does."""
    (name,) = (mark.args[0] for mark in request.node.iter_markers("limit"))
    return limits()[name] if store.name == "gateway" else None
