"""S3 calls: stores that do not offer everything, other regions, drift, names."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from mlops_infra import object_store
from mlops_infra.bucket import BucketProvider
from mlops_infra.object_store import Connection, StoreAnswerError
from mlops_platform.storage.dataset import DatasetProvider
from mlops_stack import full_buckets

PROPS: dict[str, Any] = {
    "bucket": "models",
    "endpoint": None,
    "region": "us-east-1",
    "access_key": "testing",
    "secret_key": "testing",
    "versioning": True,
    "force_destroy": False,
}


def _client(region: str = "us-east-1") -> Any:
    return boto3.client(
        "s3", region_name=region, aws_access_key_id="testing", aws_secret_access_key="testing"
    )


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        yield _client()


@pytest.fixture
def stub() -> Iterator[Stubber]:
    with Stubber(_client()) as found:
        yield found
        found.assert_no_pending_responses()


@pytest.mark.parametrize("code", ["NotImplemented", "VersioningNotConfigured", "MethodNotAllowed"])
def test_a_store_without_versioning_says_so(stub: Stubber, code: str) -> None:
    s3 = stub.client
    stub.add_client_error("get_bucket_versioning", code)
    assert object_store.set_versioning(s3, "b", enabled=True) == "NotOffered"
    stub.add_response("get_bucket_versioning", {})
    stub.add_client_error("put_bucket_versioning", code)
    assert object_store.set_versioning(s3, "b", enabled=True) == "NotOffered"
    stub.add_response("list_objects_v2", {"Name": "b", "KeyCount": 0})
    stub.add_client_error("list_object_versions", code)
    assert object_store.bucket_is_empty(s3, "b")


def test_any_other_refusal_is_an_error(stub: Stubber) -> None:
    s3 = stub.client
    for method in ("get_bucket_versioning", "head_bucket"):
        stub.add_client_error(method, "AccessDenied", http_status_code=403)
    with pytest.raises(ClientError, match="AccessDenied"):
        object_store.set_versioning(s3, "b", enabled=True)
    with pytest.raises(ClientError, match="AccessDenied"):
        object_store.bucket_exists(s3, "b")


class _Answer(BaseHTTPRequestHandler):
    """Gives one answer to every request, as a gateway without an account or a proxy does."""

    status: int
    body: bytes

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.body)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *_: object) -> None:
        """Say nothing."""


_UNKNOWN_KEYS = b"<Error><Code>XAdminUserNotFound</Code><Message>no such account</Message></Error>"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, _UNKNOWN_KEYS),
        (404, b"<html><body>not found</body></html>"),
        (404, b"404 page not found"),
        (403, b"<Error><Code>InvalidAccessKeyId</Code></Error>"),
        (200, b"<html><body>Please log in</body></html>"),
    ],
)
def test_a_refusal_leaves_buckets_and_data_sets_in_the_state(status: int, body: bytes) -> None:
    handler = type("Handler", (_Answer,), {"status": status, "body": body})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        props = {**PROPS, "endpoint": endpoint, "access_key": "a", "secret_key": "b"}
        dataset = {**props, "bucket": "datasets", "prefix": "nyc/1"}
        connection = Connection(endpoint=endpoint, region="r", access_key="a", secret_key="b")
        refused = (ClientError, StoreAnswerError)
        try:
            if status != 200:
                with pytest.raises(refused):
                    BucketProvider().read("models", props)
                with pytest.raises(refused):
                    BucketProvider().delete("models", props)
            with pytest.raises(refused):
                DatasetProvider().read("datasets/nyc/1", dataset)
            with pytest.raises(refused):
                full_buckets.full(connection, ["models"])
        finally:
            server.shutdown()


def test_a_bucket_that_is_listed_is_not_gone(stub: Stubber) -> None:
    stub.add_client_error("head_bucket", "404", http_status_code=404)
    stub.add_response("list_buckets", {"Buckets": [{"Name": "models"}]})
    with pytest.raises(StoreAnswerError, match=r"lists bucket 'models' and says .* not there"):
        object_store.bucket_exists(stub.client, "models")


def test_objects_that_stay_are_named_with_the_remedy(stub: Stubber) -> None:
    stub.add_response("list_objects_v2", {"Contents": [{"Key": "a"}]})
    stub.add_response("delete_objects", {"Errors": [{"Key": "a", "Message": "locked"}]})
    with pytest.raises(RuntimeError, match=r"1 objects .*first 'a': locked; run the command again"):
        object_store.empty_bucket(stub.client, "b")


def test_only_what_has_the_prefix_is_deleted(s3: Any) -> None:
    s3.create_bucket(Bucket="models")
    for key in ("a/1", "a/2", "ab/1"):
        s3.put_object(Bucket="models", Key=key, Body=b"x")
    object_store.empty_bucket(s3, "models", prefix="a/")
    assert [o["Key"] for o in s3.list_objects_v2(Bucket="models")["Contents"]] == ["ab/1"]


def test_a_bucket_can_be_made_in_another_region(s3: Any) -> None:
    BucketProvider().create({**PROPS, "region": "eu-west-1"})
    assert s3.get_bucket_location(Bucket="models")["LocationConstraint"] == "eu-west-1"


def test_versioning_that_someone_switched_off_is_found_and_repaired(s3: Any) -> None:
    provider = BucketProvider()
    outs = provider.create(PROPS).outs
    assert provider.diff("models", outs, PROPS).changes is False
    s3.put_bucket_versioning(Bucket="models", VersioningConfiguration={"Status": "Suspended"})
    refreshed = provider.read("models", outs).outs
    assert refreshed["versioning_status"] == "Suspended"
    found = provider.diff("models", refreshed, PROPS)
    assert (found.changes, found.replaces) == (True, [])
    updated = provider.update("models", refreshed, PROPS).outs
    assert updated["versioning_status"] == "Enabled"
    assert provider.diff("models", updated, PROPS).changes is False


def test_a_store_without_versioning_is_no_drift() -> None:
    olds = {**PROPS, "versioning_status": "NotOffered"}
    assert BucketProvider().diff("models", olds, PROPS).changes is False


def test_update_takes_versioning_back(s3: Any) -> None:
    provider = BucketProvider()
    outs = provider.create(PROPS).outs
    updated = provider.update("models", outs, {**PROPS, "versioning": False}).outs
    assert updated["versioning_status"] == "Suspended"


@given(st.text(max_size=70))
def test_a_name_is_usable_or_refused_with_the_rule(name: str) -> None:
    problem = object_store.bucket_name_problem(name)
    if problem is None:
        assert 3 <= len(name) <= 63
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    else:
        assert problem.startswith(repr(name))


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{1,61})[a-z0-9]", fullmatch=True))
def test_every_plain_name_is_usable(name: str) -> None:
    assert object_store.bucket_name_problem(name) is None


@pytest.mark.parametrize("name", ["models\n", "10.0.0.1", "a..b", "ab", "models.", "Models", "é23"])
def test_a_name_that_s3_would_refuse(name: str) -> None:
    assert object_store.bucket_name_problem(name)


def test_the_keys_are_not_shown() -> None:
    shown = repr(Connection(endpoint="e", region="r", access_key="AKAK", secret_key="SKSK"))
    assert "AKAK" not in shown
    assert "SKSK" not in shown
