"""Listings: page by page they are what they are in one piece, in S3's order, and they end."""

import uuid
from typing import Any

import pytest

from mlops_infra import object_store
from tests.s3.limits import Limit
from tests.s3.stores import Store

KEYS = sorted(
    [
        "a",
        "a.b/1",
        "a-b/1",
        "b/1",
        "b/2",
        "b/c/1",
        "b/c/2",
        "b/c.txt",
        "b-1",
        "b.txt",
        "c/d/e/f/g",
        "c/d/e/f/h",
        "ä/1",
        "z",
    ],
    key=str.encode,
)
_PAGES_AT_MOST = 200


def expected(keys: list[str], prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
    """Return the keys and the common prefixes that S3 lists."""
    listed, common = [], []
    for key in keys:
        if not key.startswith(prefix):
            continue
        before, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        if found:
            common.append(prefix + before + delimiter)
        else:
            listed.append(key)
    return listed, sorted(set(common), key=str.encode)


def _pages(s3: Any, operation: str, bucket: str, **options: Any) -> list[Any]:
    """Return every page, and fail where they do not end."""
    pages: list[Any] = []
    size = options.pop("size")
    paginator = s3.get_paginator(operation)
    for page in paginator.paginate(Bucket=bucket, PaginationConfig={"PageSize": size}, **options):
        pages.append(page)
        assert len(pages) < _PAGES_AT_MOST, f"{operation} does not end"
    return pages


@pytest.fixture(scope="module")
def filled(store: Store) -> Any:
    """Return a client and a bucket with the keys."""
    s3 = store.client()
    bucket = f"test-listing-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket)
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    yield s3, bucket
    object_store.empty_bucket(s3, bucket)
    s3.delete_bucket(Bucket=bucket)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("delimiter", ["", "/", "-", "c"])
@pytest.mark.parametrize("operation", ["list_objects_v2", "list_objects", "list_object_versions"])
def test_pages_are_the_whole(
    filled: Any, store: Store, operation: str, delimiter: str, size: int
) -> None:
    s3, bucket = filled
    if store.name == "moto" and operation != "list_objects_v2" and delimiter:
        pytest.skip("moto's pages of these repeat common prefixes")
    for prefix in ("", "b", "b/", "b/c", "c/d/", "nothing", "b//", "./"):
        options = {"Prefix": prefix, **({"Delimiter": delimiter} if delimiter else {})}
        pages = _pages(s3, operation, bucket, size=size, **options)
        contents = "Versions" if operation == "list_object_versions" else "Contents"
        keys = [found["Key"] for page in pages for found in page.get(contents, [])]
        common = [p["Prefix"] for page in pages for p in page.get("CommonPrefixes", [])]
        assert (keys, common) == expected(KEYS, prefix, delimiter), (prefix, delimiter)
        for page in pages:
            assert len(page.get(contents, [])) + len(page.get("CommonPrefixes", [])) <= size


def test_a_listing_begins_after_a_key(filled: Any) -> None:
    s3, bucket = filled
    for after in ("", "a", "b/", "b/c", "b/c/1", "c/d/e/f/gg", "zz"):
        found = s3.list_objects_v2(Bucket=bucket, StartAfter=after).get("Contents", [])
        assert [f["Key"] for f in found] == [k for k in KEYS if k.encode() > after.encode()], after


def _versions(pages: list[Any]) -> list[tuple[str, str]]:
    return [
        (found["Key"], found["VersionId"])
        for page in pages
        for found in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_versions_page_by_page(s3: Any, store: Store, bucket: str, size: int) -> None:
    s3.put_object(Bucket=bucket, Key="a/old", Body=b"before versions")
    s3.put_object(Bucket=bucket, Key="plain", Body=b"before versions")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for number in range(3):
        for key in ("a/old", "a/new", "b"):
            s3.put_object(Bucket=bucket, Key=key, Body=str(number).encode())
    s3.delete_object(Bucket=bucket, Key="b")
    s3.delete_object(Bucket=bucket, Key="a/old")
    whole = _versions([s3.list_object_versions(Bucket=bucket)])
    assert len(whole) == len(set(whole)) == 13
    paged = _versions(_pages(s3, "list_object_versions", bucket, size=size))
    assert sorted(paged) == sorted(whole)
    newest = {}
    for key, version in paged:
        newest.setdefault(key, version)
    assert s3.get_object(Bucket=bucket, Key="a/new")["VersionId"] == newest["a/new"]
    assert {key for key, version in whole if version == "null"} == {"a/old", "plain"}
    body = s3.get_object(Bucket=bucket, Key="a/old", VersionId="null")["Body"].read()
    assert body == b"before versions"
    if store.name == "moto":
        return  # it does not go on after a version that is deleted
    # A client that deletes what it lists, page by page, reaches the end as well.
    paginator = s3.get_paginator("list_object_versions")
    for turn, page in enumerate(
        paginator.paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
    ):
        assert turn < _PAGES_AT_MOST
        for key, version in _versions([page]):
            s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
    assert object_store.bucket_is_empty(s3, bucket)


def test_a_deleted_object_comes_back_with_its_marker(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="a", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="a", Body=b"2")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="a")
    assert marker["DeleteMarker"]
    assert not s3.list_objects_v2(Bucket=bucket).get("Contents")
    assert s3.get_object(Bucket=bucket, Key="a", VersionId=first)["Body"].read() == b"1"
    s3.delete_object(Bucket=bucket, Key="a", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"2"
    s3.delete_object(Bucket=bucket, Key="a", VersionId=second)
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"1"


@pytest.mark.limit("folder-of-deleted")
def test_a_folder_of_deleted_objects(
    s3: Any, store: Store, bucket: str, limit: Limit | None
) -> None:
    if store.name == "moto":
        pytest.skip("moto lists the folder as well")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="folder/a", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="folder/a")
    found = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in found.get("CommonPrefixes", [])] == (["folder/"] if limit else [])
    assert not s3.list_objects_v2(Bucket=bucket, Prefix="folder/").get("Contents")
