"""An export has what a store's buckets hold, with every version, and gives it to other buckets."""

import itertools
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_infra import object_store
from mlops_stack.backup import archive
from mlops_stack.backup.archive import Content, Database, Manifest, Object
from mlops_stack.backup.objects import Store as Kept
from mlops_stack.backup.progress import Progress
from tests.s3.stores import Store

_NOTHING = Content(bytes=0, sha256="0" * 64)
_DATABASE = Database(content=_NOTHING, mlflow="", revision="", models=0, model_versions=0, runs=0)


@pytest.fixture
def empty(s3: Any) -> Iterator[str]:
    """Another bucket, to load into."""
    name = f"test-{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name)
    yield name
    object_store.empty_bucket(s3, name)
    s3.delete_bucket(Bucket=name)


def _kept(store: Store, bucket: str) -> Kept:
    connection = store.connection
    return Kept(
        {
            "buckets": {"models": bucket},
            "s3_url": connection.endpoint,
            "s3_region": connection.region,
            "s3_access_key": connection.access_key,
            "s3_secret_key": connection.secret_key,
        }
    )


def _contents(s3: Any, bucket: str, key: str) -> list[bytes]:
    listed = s3.list_object_versions(Bucket=bucket, Prefix=key)
    return [
        s3.get_object(Bucket=bucket, Key=key, VersionId=found["VersionId"])["Body"].read()
        for found in listed.get("Versions", [])
    ]


def _load(kept: Kept, target: archive.Archive, manifest: Manifest) -> None:
    def which(found: Object) -> tuple[str, str]:
        return found.bucket, found.key

    for _, versions in itertools.groupby(target.objects(manifest), key=which):
        kept.load(target, list(versions))


# With two versions of each, the gateway's list comes in two pages.
@pytest.mark.parametrize("keys", [20, pytest.param(520, marks=pytest.mark.long)])
def test_every_version_goes_out_and_comes_back_once(
    store: Store, bucket: str, empty: str, tmp_path: Path, keys: int
) -> None:
    s3 = store.client()
    for name in (bucket, empty):
        if object_store.set_versioning(s3, name, enabled=True) != "Enabled":
            pytest.skip("this store keeps no versions")
    for number in range(2 * keys):
        s3.put_object(Bucket=bucket, Key=f"many/{number % keys:04}", Body=b"%d" % number)
    s3.put_object(Bucket=bucket, Key="ü/+ä", Body=b"x", ContentType="text/plain", Tagging="by=me")
    s3.put_object(Bucket=bucket, Key="gone", Body=b"was")
    s3.delete_object(Bucket=bucket, Key="gone")
    source, target = _kept(store, bucket), archive.prepare(tmp_path / "kept")
    state = source.state(("models",))
    index = source.save(
        target, ("models",), versions=True, progress=Progress("it", count=0, size=0)
    )
    assert source.state(("models",)) == state
    assert index.count == 2 * keys + 3
    manifest = Manifest(made="", stack="", database=_DATABASE, index=index)
    other = _kept(store, empty)
    # The second time finds that everything is there.
    for _ in range(2):
        _load(other, target, manifest)
        assert _contents(s3, empty, "many/0007") == [b"%d" % (keys + 7), b"7"]
    assert _contents(s3, empty, "gone") == [b"was"]
    held = s3.get_object(Bucket=empty, Key="ü/+ä")
    assert (held["Body"].read(), held["ContentType"]) == (b"x", "text/plain")
    tags = s3.get_object_tagging(Bucket=empty, Key="ü/+ä")["TagSet"]
    assert tags == [{"Key": "by", "Value": "me"}]
    assert "gone" not in {found["Key"] for found in s3.list_objects_v2(Bucket=empty)["Contents"]}
    counted = other.sizes(("models",), versions=True)["models"][0]
    # An object of one version is written again, and then has two.
    assert counted == 2 * keys + 4
