"""Which buckets keep a stack from being destroyed, against moto's S3."""

from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ProfileNotFound
from moto.server import ThreadedMotoServer

from mlops_infra import object_store
from mlops_infra.object_store import Connection, StoreAnswerError
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


@pytest.mark.parametrize(
    "problem",
    [
        ClientError({"Error": {"Code": "InvalidAccessKeyId"}}, "ListBuckets"),
        EndpointConnectionError(endpoint_url="http://s3"),
        ProfileNotFound(profile="corp"),
        StoreAnswerError("a login page"),
    ],
)
def test_what_cannot_be_looked_into_refuses_the_destroy(
    monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def fail(*_: object) -> list[str]:
        raise problem

    monkeypatch.setattr(full_buckets, "full", fail)
    with pytest.raises(full_buckets.FullBucketsError, match=r"cannot be told.*nothing was destr"):
        full_buckets.refuse(_stack(_resource("models")))


def test_a_stack_whose_update_failed_is_looked_into_by_what_its_state_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Connection] = []

    def full(connection: Connection, buckets: list[str]) -> list[str]:
        asked.append(connection)
        return buckets

    monkeypatch.setattr(full_buckets, "full", full)
    with pytest.raises(full_buckets.FullBucketsError, match="holds data in models"):
        full_buckets.refuse(_stack(_resource("models")))
    assert asked == [_connection("http://s3")]


def test_a_stack_that_is_ephemeral_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_buckets, "full", Mock(side_effect=AssertionError))
    full_buckets.refuse(_stack(_resource("models", force_destroy=True)))


def _stack(*resources: dict[str, Any]) -> Mock:
    stack = Mock()
    stack.name = "dev"
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
    testing = {**secret, "plaintext": '"testing"'}
    keys = {"access_key": testing, "secret_key": testing}
    made = {"endpoint": "http://s3", "region": "us-east-1", **keys}
    stack.resources.return_value = [{**r, "id": "b", "outputs": made} for r in resources]
    return stack
