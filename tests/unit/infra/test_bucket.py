"""Buckets against moto's S3."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from mlops_infra import object_store
from mlops_infra.bucket import BucketNotEmptyError, BucketProvider

NAME = "artifacts"


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client(
            "s3",
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )


def _props(**changes: Any) -> dict[str, Any]:
    return {
        "bucket": NAME,
        "endpoint": None,
        "region": "us-east-1",
        "access_key": "testing",
        "secret_key": "testing",
        "versioning": False,
        "force_destroy": False,
        **changes,
    }


def test_create_makes_the_bucket_with_versioning(s3: Any) -> None:
    result = BucketProvider().create(_props(versioning=True))
    assert result.id == NAME
    assert result.outs["versioning_status"] == "Enabled"
    assert s3.get_bucket_versioning(Bucket=NAME)["Status"] == "Enabled"


def test_an_interrupted_create_is_adopted(s3: Any) -> None:
    s3.create_bucket(Bucket=NAME)
    s3.put_object(Bucket=NAME, Key="kept", Body=b"x")
    BucketProvider().create(_props())
    assert s3.get_object(Bucket=NAME, Key="kept")["Body"].read() == b"x"


def test_a_bucket_with_objects_is_not_deleted(s3: Any) -> None:
    BucketProvider().create(_props())
    s3.put_object(Bucket=NAME, Key="a", Body=b"x")
    with pytest.raises(BucketNotEmptyError, match="pulumi config set ephemeral true"):
        BucketProvider().delete(NAME, _props())
    assert object_store.bucket_exists(s3, NAME)


def test_a_bucket_with_only_old_versions_is_not_deleted(s3: Any) -> None:
    BucketProvider().create(_props(versioning=True))
    s3.put_object(Bucket=NAME, Key="a", Body=b"x")
    s3.delete_object(Bucket=NAME, Key="a")
    with pytest.raises(BucketNotEmptyError):
        BucketProvider().delete(NAME, _props())


def test_an_ephemeral_bucket_goes_with_objects_and_versions(s3: Any) -> None:
    BucketProvider().create(_props(versioning=True))
    for number in range(3):
        s3.put_object(Bucket=NAME, Key="a", Body=str(number).encode())
    BucketProvider().delete(NAME, _props(force_destroy=True))
    assert not object_store.bucket_exists(s3, NAME)
    BucketProvider().delete(NAME, _props(force_destroy=True))


def test_read_drops_a_bucket_that_is_gone(s3: Any) -> None:
    BucketProvider().create(_props())
    assert BucketProvider().read(NAME, _props()).id == NAME
    s3.delete_bucket(Bucket=NAME)
    assert BucketProvider().read(NAME, _props()).id == ""


@pytest.mark.parametrize(
    ("changes", "replaces"),
    [({"bucket": "models"}, ["bucket"]), ({"endpoint": "http://10.0.0.1:1"}, []), ({}, None)],
)
def test_diff(changes: dict[str, Any], replaces: list[str] | None) -> None:
    result = BucketProvider().diff(NAME, _props(versioning_status="Off"), _props(**changes))
    assert result.changes is (replaces is not None)
    assert result.replaces == (replaces or [])


def test_a_bucket_of_the_first_version_needs_no_change() -> None:
    # It named days of expiry, which no store behind this resource knew.
    olds = _props(versioning_status="Off", lifecycle_status="NotOffered", expire_days=30)
    assert BucketProvider().diff(NAME, olds, _props()).changes is False


@pytest.mark.parametrize("name", ["A", "ab", "under_score", "a..b", "-a-b", "x" * 64])
def test_a_name_that_s3_refuses_is_refused_first(name: str) -> None:
    (failure,) = BucketProvider().check({}, _props(bucket=name)).failures
    assert "3 to 63 lower-case letters" in failure.reason
