"""Which buckets keep a stack from being destroyed, against moto's S3."""

from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto.server import ThreadedMotoServer

from mlops_infra import object_store
from mlops_infra.object_store import Connection
from mlops_stack import full_buckets


def _resource(bucket: str, **inputs: Any) -> dict[str, Any]:
    return {
        "type": "pulumi-python:dynamic/mlops:Bucket",
        "inputs": {"bucket": bucket, **inputs},
    }


def _connection(endpoint: str) -> Connection:
    return Connection(
        endpoint=endpoint, region="us-east-1", access_key="testing", secret_key="testing"
    )


def test_only_buckets_that_may_not_be_emptied_are_asked() -> None:
    resources = [
        _resource("artifacts", force_destroy=False),
        _resource("models"),
        _resource("scratch", force_destroy=True),
        {"type": "kubernetes:core/v1:Namespace", "inputs": {}},
    ]
    assert full_buckets.names(resources) == ["artifacts", "models"]


def test_a_bucket_is_full_with_an_object_or_with_an_old_version() -> None:
    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        connection = _connection(f"http://{host}:{port}")
        s3 = object_store.client(connection)
        for bucket in ("empty", "object", "version"):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket="version", VersioningConfiguration={"Status": "Enabled"})
        for bucket in ("object", "version"):
            s3.put_object(Bucket=bucket, Key="key", Body=b"text")
        s3.delete_object(Bucket="version", Key="key")
        asked = ("empty", "object", "absent", "version")
        assert full_buckets.full(connection, asked) == ["object", "version"]
    finally:
        server.stop()


def test_a_store_that_is_gone_is_an_error_of_its_sdk() -> None:
    with pytest.raises(EndpointConnectionError):
        full_buckets.full(_connection("http://127.0.0.1:9"), ["artifacts"])


def test_a_store_that_refuses_the_keys_refuses_the_destroy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> list[str]:
        raise ClientError({"Error": {"Code": "InvalidAccessKeyId"}}, "ListBuckets")

    monkeypatch.setattr(full_buckets, "full", refused)
    stack = Mock()
    stack.name = "dev"
    stack.resources.return_value = [_resource("models")]
    stack.outputs.return_value = {"s3_url": "http://s3", "s3_access_key": "", "s3_secret_key": ""}
    with pytest.raises(full_buckets.FullBucketsError, match=r"cannot be told.*InvalidAccessKeyId"):
        full_buckets.refuse(stack)
