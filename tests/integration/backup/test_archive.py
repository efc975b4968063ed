"""The folder of an export: what it refuses, and that harm to it is seen."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from mlops_stack.backup import archive, policy
from mlops_stack.backup.archive import Archive, Database, Manifest, Object
from mlops_stack.backup.errors import ArchiveError
from mlops_stack.backup.policy import Keep
from mlops_stack.settings import SettingsError

_Usage = namedtuple("_Usage", "total used free")


@pytest.fixture
def export(tmp_path: Path) -> Archive:
    """A finished export of the first format: two objects of the same content, an awkward key."""
    made = archive.prepare(tmp_path / "kept")
    made.database.write_bytes(b"database")
    content = made.store(iter([b"mo", b"del"]))
    same = made.store(iter([b"model"]))
    database = Database(
        content=archive.content_of(made.database),
        mlflow="3.17.2",
        revision="abc",
        models=1,
        model_versions=1,
        runs=2,
    )
    objects = (
        Object(bucket="models", key="../../etc/a b", content=content, metadata={"by": "train"}),
        Object(bucket="artifacts", key="mlflow/1/model.pkl", content=same),
    )
    made.finish(
        Manifest(
            format=1,
            made="2026-07-01T00:00:00+00:00",
            stack="pr-1",
            database=database,
            objects=objects,
        )
    )
    return made


def test_an_export_is_read_as_it_was_written(export: Archive) -> None:
    found, manifest = archive.read(export.folder)
    objects = list(found.objects(manifest))
    assert [o.key for o in objects] == ["../../etc/a b", "mlflow/1/model.pkl"]
    assert {found.object(o.content).read_bytes() for o in objects if o.content} == {b"model"}
    assert len(list((export.folder / "objects").iterdir())) == 1
    assert export.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("file", ["mlflow.db", "objects/*"])
def test_a_changed_or_missing_file_is_named(export: Archive, file: str) -> None:
    (path,) = export.folder.glob(file)
    before = path.read_bytes()
    path.write_bytes(before[:-1] + b"?")
    with pytest.raises(ArchiveError, match=rf"{path.name} is not what was exported.*SHA-256"):
        archive.read(export.folder)
    path.unlink()
    with pytest.raises(ArchiveError, match=rf"{path.name} cannot be read"):
        archive.read(export.folder)


def test_an_unfinished_export_is_refused(export: Archive) -> None:
    (export.folder / "manifest.json").unlink()
    with pytest.raises(ArchiveError, match="is no finished export"):
        archive.read(export.folder)


def test_the_manifest_of_another_format_is_refused(export: Archive) -> None:
    file = export.folder / "manifest.json"
    file.write_text(file.read_text().replace('"format": 1', '"format": 3'))
    with pytest.raises(ArchiveError, match=r"format: .*; use the version that made it"):
        archive.read(export.folder)


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(ArchiveError, match="is not empty; name another folder with KEEP_TO="):
        archive.prepare(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_written_to_is_refused() -> None:
    # Not even root can make folders there.
    with pytest.raises(ArchiveError, match="cannot be written to"):
        archive.prepare(Path("/proc/kept"))


def test_too_little_space_is_seen_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(1 << 40, 0, 100 << 20))
    archive.prepare(tmp_path / "fits", needed=90 << 20)
    with pytest.raises(ArchiveError, match="has 100 MiB of free space and needs 105 MiB"):
        archive.prepare(tmp_path / "does-not", needed=100 << 20)


def test_what_an_interrupted_export_wrote_goes_and_nothing_else(tmp_path: Path) -> None:
    made = archive.prepare(tmp_path / "kept")
    made.store(iter([b"model"]))
    made.discard()
    assert not made.folder.exists()


def test_the_strongest_wish_is_kept() -> None:
    assert policy.choose("", "", "models") == "models"
    assert policy.choose("none", "models", "models") == "none"
    assert policy.choose("", "") == "none"
    assert policy.choose("all", "models") == "all"
    with pytest.raises(
        SettingsError, match=r"KEEP=some: there is no such thing .* none, models or all"
    ):
        policy.choose("some", "models")


def test_a_folder_without_anything_to_keep_is_refused(tmp_path: Path) -> None:
    assert policy.export("pr-1", "none") is None
    assert policy.export("pr-1", "all", str(tmp_path)) == Keep(what="all", folder=tmp_path)
    with pytest.raises(SettingsError, match=r"KEEP_TO=.* needs KEEP=models or KEEP=all"):
        policy.export("pr-1", "none", str(tmp_path))
