"""Keys: each names one object and stays as it was written, or is refused in words that say why."""

import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlops_infra import object_store
from tests.s3.limits import Limit, limits
from tests.s3.stores import Store

KEYS = [
    "plain",
    "with space",
    " ",
    "a/b/c/d/e/f",
    "a.b/c.d/.e/...f/..g/h..",
    "…/.../....",
    "+%&?#=;:@,$!'()*~^`|<>\"{}[]\\",
    "%2F/%2f/a%20b/100%",
    "a+b c%20d",
    "line\nend\ttab\rreturn",
    "größe/ä ö ü/ß",
    unicodedata.normalize("NFC", "é"),
    unicodedata.normalize("NFD", "é"),
    "飞机/航班/延误",
    "рейс/задержка",
    "رحلة/تأخير",
    "उड़ान/विलंब",
    "✈️/🛫👩🏽‍✈️",
    "Case",
    "case",
    "-rf",
    "~root",
    "con.txt:stream",
    "x" * 255,
    "ж" * 127,
    "/".join(["y" * 200] * 5),
]
# What a file's path cannot tell from another key, and the key that it would become.
OTHERS = [
    ("a//c", "a/c"),
    ("/a/c", "a/c"),
    ("a/./c", "a/c"),
    ("./a/c", "a/c"),
    ("x/../a/c", "a/c"),
    ("a/c/.", "a/c"),
    ("a/x/..", "a"),
    ("a/c//", "a/c/"),
]


def _listed(s3: Any, bucket: str, prefix: str = "") -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def _code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def _written(limit: Limit | None, remedy: str, *writes: Callable[[], object]) -> None:
    """Let each write succeed or, where a limit forbids it, be refused with its code and remedy."""
    for write in writes:
        if limit:
            with pytest.raises(ClientError, match=remedy) as refused:
                write()
            assert _code(refused) == limit.code
        else:
            write()


def test_keys_of_every_kind_are_kept_as_they_are(s3: Any, store: Store, bucket: str) -> None:
    # moto's own web server knows no path with a line's end.
    keys = [key for key in KEYS if store.name != "moto" or "\n" not in key]
    for number, key in enumerate(keys):
        s3.put_object(Bucket=bucket, Key=key, Body=str(number).encode())
    for number, key in enumerate(keys):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == str(number).encode(), key
        assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(str(number)), key
        assert key in _listed(s3, bucket, key), key
    # S3 orders keys by their bytes.
    assert _listed(s3, bucket) == sorted(keys, key=str.encode)
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"again")
        copied = f"copies/{keys.index(key)}"
        s3.copy_object(Bucket=bucket, Key=copied, CopySource={"Bucket": bucket, "Key": key})
        assert s3.get_object(Bucket=bucket, Key=copied)["Body"].read() == b"again", key
    quiet: Any = {"Objects": [{"Key": key} for key in keys]}
    assert not s3.delete_objects(Bucket=bucket, Delete=quiet).get("Errors")
    assert _listed(s3, bucket) == sorted(f"copies/{n}" for n in range(len(keys)))


def test_a_folder_is_an_object_without_data(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="folder/", Body=b"")
    s3.put_object(Bucket=bucket, Key="folder/a", Body=b"x")
    assert _listed(s3, bucket) == ["folder/", "folder/a"]
    s3.delete_object(Bucket=bucket, Key="folder/a")
    assert _listed(s3, bucket) == ["folder/"]
    s3.delete_object(Bucket=bucket, Key="folder/")
    assert _listed(s3, bucket) == []


@pytest.mark.limit("key-no-path")
@pytest.mark.parametrize("keys", OTHERS, ids=str)
def test_no_key_becomes_another(
    s3: Any, store: Store, bucket: str, limit: Limit | None, keys: tuple[str, str]
) -> None:
    key, other = keys
    if store.name == "moto" and key != "a//c":
        pytest.skip("moto's own web server changes such paths")
    s3.put_object(Bucket=bucket, Key=other, Body=b"" if other.endswith("/") else b"other")
    before = s3.get_object(Bucket=bucket, Key=other)["Body"].read()
    source: Any = {"Bucket": bucket, "Key": other}
    if limit:
        for write in (
            lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"key"),
            lambda: s3.copy_object(Bucket=bucket, Key=key, CopySource=source),
            lambda: s3.create_multipart_upload(Bucket=bucket, Key=key),
            lambda: s3.delete_object(Bucket=bucket, Key=key),
        ):
            with pytest.raises(ClientError, match="parts of a key between slashes") as refused:
                write()
            assert _code(refused) == limit.code
        with pytest.raises(ClientError) as refused:
            s3.copy_object(Bucket=bucket, Key="n", CopySource={"Bucket": bucket, "Key": key})
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        (error,) = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})["Errors"]
        assert error["Code"] == limit.code
        with pytest.raises(ClientError) as refused:
            s3.get_object(Bucket=bucket, Key=key)
        assert _code(refused) == "NoSuchKey"
        assert _listed(s3, bucket, key) == []
    else:
        s3.put_object(Bucket=bucket, Key=key, Body=b"key")
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"key"
        assert set(_listed(s3, bucket)) == {key, other}
        s3.delete_object(Bucket=bucket, Key=key)
    assert s3.get_object(Bucket=bucket, Key=other)["Body"].read() == before


@pytest.mark.limit("key-no-path")
@pytest.mark.parametrize("key", ["a/.sgwtmp/b", ".sgwtmp/x"])
def test_no_key_is_stored_and_not_listed(
    s3: Any, bucket: str, limit: Limit | None, key: str
) -> None:
    if limit:
        with pytest.raises(ClientError) as refused:
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        assert _code(refused) == limit.code
    else:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        assert _listed(s3, bucket) == [key]


@pytest.mark.limit("key-below-object")
def test_a_key_below_an_object(s3: Any, bucket: str, limit: Limit | None) -> None:
    s3.put_object(Bucket=bucket, Key="x/data", Body=b"data")
    _written(
        limit,
        "Use another key",
        lambda: s3.put_object(Bucket=bucket, Key="x/data/part-0", Body=b"part"),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key="x/data/part-0"),
    )
    assert s3.get_object(Bucket=bucket, Key="x/data")["Body"].read() == b"data"


@pytest.mark.limit("key-of-folder")
def test_a_key_that_is_the_folder_of_others(s3: Any, bucket: str, limit: Limit | None) -> None:
    s3.put_object(Bucket=bucket, Key="x/data/part-0", Body=b"part")
    _written(
        limit,
        "Use another key",
        lambda: s3.put_object(Bucket=bucket, Key="x/data", Body=b"data"),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key="x/data"),
    )
    assert s3.get_object(Bucket=bucket, Key="x/data/part-0")["Body"].read() == b"part"
    # Once nothing is below it, the key is free.
    s3.delete_object(Bucket=bucket, Key="x/data/part-0")
    s3.put_object(Bucket=bucket, Key="x/data", Body=b"data")
    assert _listed(s3, bucket) == ["x/data"]


@pytest.mark.limit("folder-with-data")
def test_a_key_that_ends_in_a_slash_with_data(s3: Any, bucket: str, limit: Limit | None) -> None:
    _written(
        limit,
        "Leave the slash or the data out",
        lambda: s3.put_object(Bucket=bucket, Key="folder/", Body=b"data"),
    )
    if not limit:
        assert s3.get_object(Bucket=bucket, Key="folder/")["Body"].read() == b"data"


@pytest.mark.limit("key-part-too-long")
def test_a_part_of_a_key_beyond_a_files_name(s3: Any, bucket: str, limit: Limit | None) -> None:
    for key in ("x" * 256, "a/" + "ж" * 128 + "/b"):
        _written(
            limit,
            "at most 255",
            lambda key=key: s3.put_object(Bucket=bucket, Key=key, Body=b"x"),
            lambda key=key: s3.create_multipart_upload(Bucket=bucket, Key=key),
        )
    assert _listed(s3, bucket) == ([] if limit else sorted(["x" * 256, "a/" + "ж" * 128 + "/b"]))


def test_a_key_beyond_1024_bytes_is_refused(s3: Any, store: Store, bucket: str) -> None:
    if store.name == "moto":
        pytest.skip("moto has no limit")
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="/".join(["y" * 204] * 5 + ["z"]), Body=b"x")
    assert _code(refused) == "KeyTooLongError"


def test_the_table_names_each_limit_that_is_tested(request: pytest.FixtureRequest) -> None:
    tested = {mark.args[0] for item in request.session.items for mark in item.iter_markers("limit")}
    assert tested <= limits().keys()


def test_refused_keys_are_not_a_bucket_that_is_gone(s3: Any, store: Store, bucket: str) -> None:
    assert object_store.bucket_exists(s3, bucket)
    assert not object_store.bucket_exists(s3, "absent-" + bucket)
    if store.name == "moto":
        return  # it takes any keys
    with pytest.raises(ClientError):
        object_store.bucket_exists(store.client(access_key="nobody", secret_key="x" * 16), bucket)
    with pytest.raises(ClientError):
        object_store.bucket_exists(store.client(secret_key="x" * 16), "absent-" + bucket)
