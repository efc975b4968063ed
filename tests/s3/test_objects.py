"""Objects: ranges, conditions, checksums, multipart uploads, presigned addresses, policies."""

import base64
import hashlib
import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
import urllib3
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.s3.limits import Limit
from tests.s3.stores import Store

PART = 5 * 1024 * 1024
BODY = bytes(range(256)) * 4


def _code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def send(
    url: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Send a request without an SDK; return status and body."""
    answer = urllib3.request(method, url, body=body, headers=headers, retries=False, timeout=60)
    return answer.status, answer.data


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=1000-", 1000, 1023),
        ("bytes=-5", 1019, 1023),
        ("bytes=1020-9999", 1020, 1023),
    ],
)
def test_a_range(s3: Any, bucket: str, wanted: str, first: int, last: int) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=BODY)
    answer = s3.get_object(Bucket=bucket, Key="a", Range=wanted)
    assert answer["Body"].read() == BODY[first : last + 1]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert answer["ContentRange"] == f"bytes {first}-{last}/{len(BODY)}"


def test_a_range_beyond_the_end_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=BODY)
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=bucket, Key="a", Range=f"bytes={len(BODY)}-")
    assert _code(refused) == "InvalidRange"


def test_what_an_object_is_called_comes_back(s3: Any, bucket: str) -> None:
    s3.put_object(
        Bucket=bucket,
        Key="a",
        Body=BODY,
        ContentType="text/csv",
        ContentEncoding="gzip",
        CacheControl="no-store",
        ContentDisposition='attachment; filename="a.csv"',
        Metadata={"month": "2013-01", "origin": "JFK"},
    )
    found = s3.head_object(Bucket=bucket, Key="a")
    assert found["ContentType"] == "text/csv"
    assert found["ContentEncoding"] == "gzip"
    assert found["CacheControl"] == "no-store"
    assert found["ContentDisposition"] == 'attachment; filename="a.csv"'
    assert found["Metadata"] == {"month": "2013-01", "origin": "JFK"}
    assert found["ETag"] == f'"{hashlib.md5(BODY, usedforsecurity=False).hexdigest()}"'


def test_only_one_of_twelve_writers_makes_the_object(store: Store, bucket: str) -> None:
    s3 = store.client()

    def put(number: int) -> bool:
        try:
            s3.put_object(Bucket=bucket, Key="lock", Body=str(number).encode(), IfNoneMatch="*")
        except ClientError as error:
            assert error.response["Error"]["Code"] in (
                "PreconditionFailed",
                "ConditionalRequestConflict",
            )
            return False
        return True

    if store.name == "moto":
        pytest.skip("moto looks and writes in two steps")
    with ThreadPoolExecutor(12) as pool:
        won = [number for number, made in enumerate(pool.map(put, range(48))) if made]
    assert len(won) == 1
    assert s3.get_object(Bucket=bucket, Key="lock")["Body"].read() == str(won[0]).encode()


def test_conditions(s3: Any, bucket: str) -> None:
    first = s3.put_object(Bucket=bucket, Key="a", Body=b"1")["ETag"]
    second = s3.put_object(Bucket=bucket, Key="a", Body=b"2", IfMatch=first)["ETag"]
    for condition in ({"IfMatch": first}, {"IfNoneMatch": "*"}):
        with pytest.raises(ClientError) as refused:
            s3.put_object(Bucket=bucket, Key="a", Body=b"3", **condition)
        assert _code(refused) == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="a", IfMatch=second)["Body"].read() == b"2"
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=bucket, Key="a", IfNoneMatch=second)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 304


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256", None])
def test_a_multipart_upload(s3: Any, bucket: str, algorithm: str | None) -> None:
    named = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m", Metadata={"k": "v"}, **named)
    where: Any = {"Bucket": bucket, "Key": "m", "UploadId": upload["UploadId"]}
    bodies = {3: b"tail", 1: b"a" * PART, 2: b"b" * PART}
    parts = []
    for number, body in bodies.items():
        sent = s3.upload_part(**where, PartNumber=number, Body=body, **named)
        sums = {name: value for name, value in sent.items() if name.startswith("Checksum")}
        sums.pop("ChecksumType", None)
        parts.append({"PartNumber": number, "ETag": sent["ETag"], **(sums if algorithm else {})})
    listed = s3.list_parts(**where)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(1, PART), (2, PART), (3, 4)]
    parts.sort(key=lambda part: int(part["PartNumber"]))
    done = s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert done["ETag"].endswith('-3"')
    found = s3.get_object(Bucket=bucket, Key="m")
    assert found["Metadata"] == {"k": "v"}
    content = found["Body"].read()
    assert content == bodies[1] + bodies[2] + bodies[3]
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
def test_parts_may_carry_checksums_that_the_upload_did_not_name(
    s3: Any, bucket: str, algorithm: str
) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")
    where: Any = {"Bucket": bucket, "Key": "m", "UploadId": upload["UploadId"]}
    name = f"Checksum{algorithm}"
    parts = []
    for number, body in ((1, b"a" * PART), (2, b"tail")):
        sent = s3.upload_part(**where, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
        parts.append({"PartNumber": number, "ETag": sent["ETag"], name: sent[name]})
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert s3.head_object(Bucket=bucket, Key="m")["ContentLength"] == PART + 4


def test_a_part_with_the_checksum_of_another_is_refused(s3: Any, store: Store, bucket: str) -> None:
    if store.name == "moto":
        pytest.skip("moto does not compare them")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")
    where: Any = {"Bucket": bucket, "Key": "m", "UploadId": upload["UploadId"]}
    sent = s3.upload_part(**where, PartNumber=1, Body=b"x", ChecksumAlgorithm="CRC32")
    wrong = base64.b64encode(zlib.crc32(b"y").to_bytes(4, "big")).decode()
    part = {"PartNumber": 1, "ETag": sent["ETag"], "ChecksumCRC32": wrong}
    with pytest.raises(ClientError) as refused:
        s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [part]})
    assert _code(refused) in ("InvalidPart", "BadDigest")


def test_an_aborted_upload_leaves_nothing(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="m", Body=b"before")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m")
    where: Any = {"Bucket": bucket, "Key": "m", "UploadId": upload["UploadId"]}
    s3.upload_part(**where, PartNumber=1, Body=b"a" * PART)
    s3.abort_multipart_upload(**where)
    with pytest.raises(ClientError) as refused:
        s3.list_parts(**where)
    assert _code(refused) == "NoSuchUpload"
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")
    assert s3.get_object(Bucket=bucket, Key="m")["Body"].read() == b"before"


def test_the_sdk_uploads_and_downloads_large_files(s3: Any, bucket: str, tmp_path: Any) -> None:
    content = hashlib.sha256(b"seed").digest() * (20 * 1024 * 1024 // 32)
    (tmp_path / "up").write_bytes(content)
    s3.upload_file(str(tmp_path / "up"), bucket, "large")
    s3.download_file(bucket, "large", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == content


def _trailer(store: Store, bucket: str, key: str, body: bytes, checksum: str) -> tuple[int, bytes]:
    """Put an object in chunks with its checksum behind them, as SDKs do over TLS."""
    url = f"{store.connection.endpoint}/{bucket}/{key}"
    sent = b"%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n" % (
        len(body),
        body,
        checksum.encode(),
    )
    request = AWSRequest(
        "PUT",
        url,
        headers={
            "Content-Encoding": "gzip,aws-chunked",
            "X-Amz-Trailer": "x-amz-checksum-crc32",
            "X-Amz-Decoded-Content-Length": str(len(body)),
        },
    )
    request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    keys = Credentials(store.connection.access_key, store.connection.secret_key)
    S3SigV4Auth(keys, "s3", store.connection.region).add_auth(request)
    return send(url, "PUT", sent, dict(request.headers.items()))


def test_a_checksum_behind_the_body(s3: Any, store: Store, bucket: str) -> None:
    right = base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()
    status, answer = _trailer(store, bucket, "a", BODY, right)
    assert status == 200, answer
    found = s3.get_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    assert found["Body"].read() == BODY
    # How a request was sent is no property of the object.
    assert found["ContentEncoding"] == "gzip"
    if store.name == "moto":
        return  # it does not compare checksums
    wrong = base64.b64encode(zlib.crc32(b"other").to_bytes(4, "big")).decode()
    status, answer = _trailer(store, bucket, "b", BODY, wrong)
    assert status == 400, answer
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="b")


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_a_checksum_comes_back(s3: Any, store: Store, bucket: str, algorithm: str) -> None:
    sent = s3.put_object(Bucket=bucket, Key="a", Body=BODY, ChecksumAlgorithm=algorithm)
    found = s3.head_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    name = f"Checksum{algorithm}"
    assert sent[name] == found[name]
    if store.name == "moto":
        return  # it does not compare checksums
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="b", Body=BODY, ChecksumSHA256=wrong)
    assert _code(refused) in ("BadDigest", "InvalidRequest")


PRESIGNED_KEYS = ["plain", "with space/a+b%20c&d=e?f#g", "größe/飞机", "(x)'*~!"]


@pytest.mark.parametrize("version", [None, "s3v4"])
@pytest.mark.parametrize("key", PRESIGNED_KEYS)
def test_a_presigned_address(store: Store, bucket: str, key: str, version: str | None) -> None:
    s3 = store.client(**({"signature_version": version} if version else {}))
    where = {"Bucket": bucket, "Key": key}
    assert send(s3.generate_presigned_url("put_object", where), "PUT", b"body")[0] == 200
    get = s3.generate_presigned_url("get_object", where)
    assert send(get) == (200, b"body")
    assert send(s3.generate_presigned_url("head_object", where), "HEAD")[0] == 200
    named = {**where, "ResponseContentType": "text/csv"}
    assert send(s3.generate_presigned_url("get_object", named)) == (200, b"body")
    assert send(s3.generate_presigned_url("delete_object", where), "DELETE")[0] == 204
    assert send(get)[0] == 404


@pytest.mark.parametrize("version", [None, "s3v4"])
def test_a_presigned_address_is_good_for_what_it_names(
    store: Store, bucket: str, version: str | None
) -> None:
    if store.name == "moto":
        pytest.skip("moto does not look at signatures")
    config = {"signature_version": version} if version else {}
    s3 = store.client(**config)
    for key in ("a", "b"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    get = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a"})
    put = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "a"})
    of_b = f"/{bucket}/{quote('b')}"
    source = {"x-amz-copy-source": of_b}
    for url, method, headers in (
        (get, "PUT", {}),
        (get, "DELETE", {}),
        (get.replace(f"/{bucket}/a?", f"/{bucket}/b?"), "GET", {}),
        (get + "&tagging", "GET", {}),
        (get + "&attributes", "GET", {"x-amz-object-attributes": "ETag"}),
        (get + "&versionId=null", "GET", {}),
        (put + "&retention", "PUT", {}),
        (put + "&legal-hold", "PUT", {}),
        (put + "&acl", "PUT", {}),
        (put, "PUT", source),
        (get.replace("Signature=", "Signature=A"), "GET", {}),
    ):
        status, answer = send(url, method, b"stolen" if method == "PUT" else None, headers)
        assert status in (400, 403, 404), (url, method, answer)
    stranger = store.client(secret_key="x" * 32, **config)
    url = stranger.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a"})
    assert send(url)[0] == 403
    ended = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a"}, ExpiresIn=-5)
    assert send(ended)[0] in (400, 403)
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"a"


def test_a_policy_opens_what_it_names(s3: Any, store: Store, bucket: str) -> None:
    if store.name != "gateway":
        pytest.skip("moto does not look at who asks, and an account may forbid open buckets")
    for key in ("open/a", "closed/a"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/open/*",
    }
    s3.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    anyone = store.client(signature_version=UNSIGNED)
    assert anyone.get_object(Bucket=bucket, Key="open/a")["Body"].read() == b"x"
    for ask in (
        lambda: anyone.get_object(Bucket=bucket, Key="closed/a"),
        lambda: anyone.put_object(Bucket=bucket, Key="open/b", Body=b"x"),
        lambda: anyone.list_objects_v2(Bucket=bucket),
    ):
        with pytest.raises(ClientError) as refused:
            ask()
        assert _code(refused) == "AccessDenied"


@pytest.mark.limit("lifecycle")
def test_rules_of_expiry(s3: Any, bucket: str, limit: Limit | None) -> None:
    rules = [
        {"ID": "e", "Status": "Enabled", "Filter": {"Prefix": "a/"}, "Expiration": {"Days": 1}}
    ]

    def put() -> None:
        s3.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": rules}
        )

    if limit:
        with pytest.raises(ClientError) as refused:
            put()
        assert _code(refused) == limit.code
    else:
        put()
        assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]["ID"] == "e"


def test_times_are_of_the_write(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    age = datetime.now(UTC) - s3.head_object(Bucket=bucket, Key="a")["LastModified"]
    assert abs(age.total_seconds()) < 60
