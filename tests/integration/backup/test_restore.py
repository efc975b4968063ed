"""All of an export comes back into a stack that holds nothing, and into no other."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mlops_infra import object_store
from mlops_stack import environment
from mlops_stack.backup import archive, restore
from mlops_stack.backup.archive import Archive, Content, Database, Manifest
from mlops_stack.backup.errors import ArchiveError, KeepError
from mlops_stack.backup.export import kept
from mlops_stack.backup.policy import Keep
from tests.integration.backup.conftest import Kubeflow, World
from tests.unit import older_mlflow

# A revision of MLflow 2.0's tables.
_OLD_REVISION = "cc1f77228345"


@pytest.fixture
def export(world: World, tmp_path: Path) -> tuple[Archive, Manifest]:
    """Everything of a stack that then holds nothing."""
    for body in (b"first", b"second"):
        world.s3.put_object(Bucket="models", Key="m/v", Body=body, ContentType="text/plain")
    world.s3.create_bucket(Bucket="of-a-user")
    world.s3.put_object(Bucket="of-a-user", Key="x", Body=b"x")
    with kept(world.stack, Keep(what="all", folder=tmp_path / "kept")):
        pass
    for bucket in ("artifacts", "models", "of-a-user"):
        object_store.empty_bucket(world.s3, bucket)
    world.s3.delete_bucket(Bucket="of-a-user")
    with closing(sqlite3.connect(world.folder / "mlflow.db")) as database:
        for table in ("runs", "registered_models", "model_versions"):
            database.execute(f"DELETE FROM {table}")  # noqa: S608
        database.commit()
    (world.folder / "kubeflow.sql").write_text("-- Dump completed\n")
    shutil.rmtree(world.folder / "home")
    (world.folder / "home").mkdir()
    (world.folder / "home/sample.ipynb").write_text("of the new stack")
    return archive.read(tmp_path / "kept")


def _restore(world: World, export: tuple[Archive, Manifest]) -> None:
    found, manifest = export
    restore.restore(world.stack, found, manifest, (found.database, manifest.database.content))


def test_everything_comes_back(
    world: World, export: tuple[Archive, Manifest], kubeflow: type[Kubeflow]
) -> None:
    kubeflow.schedules[:] = [
        {"recurring_run_id": "1", "display_name": "weekly", "status": "DISABLED"},
    ]
    _restore(world, export)
    versions = world.s3.list_object_versions(Bucket="models", Prefix="m/v")["Versions"]
    bodies = [
        world.s3.get_object(Bucket="models", Key="m/v", VersionId=v["VersionId"])["Body"].read()
        for v in versions
    ]
    assert bodies == [b"second", b"first"]
    assert world.s3.get_object(Bucket="models", Key="m/v")["ContentType"] == "text/plain"
    assert world.s3.get_object(Bucket="of-a-user", Key="x")["Body"].read() == b"x"
    assert world.s3.get_object(Bucket="artifacts", Key="mlflow/é")["Body"].read() == b""
    with closing(sqlite3.connect(world.folder / "mlflow.db")) as database:
        assert database.execute("SELECT id FROM runs").fetchall() == [("1",), ("2",)]
    assert (world.folder / "kubeflow.sql").read_text().count("a run") == 2
    # Its servers are stopped before the import, and started after it.
    words = "\n".join(world.commands)
    stopped, imported, started = (
        words.index("deployment/metadata-grpc-deployment --replicas=0"),
        words.index("exec --stdin pod/it --container=mariadb"),
        words.index("deployment/metadata-grpc-deployment --replicas=1"),
    )
    assert stopped < imported < started
    home = world.folder / "home"
    assert (home / "work ü.ipynb").read_text() == "cells"
    assert (home / "latest").readlink() == Path("work ü.ipynb")
    assert (home / "sample.ipynb").exists()
    # A schedule has an object in the cluster again, and is paused as it was.
    (schedule,) = kubeflow.schedules
    assert schedule["recurring_run_id"] == "weekly-again"
    assert (schedule["mode"], schedule["no_catchup"]) == ("DISABLE", True)


@pytest.mark.usefixtures("kubeflow")
def test_an_interrupted_import_is_taken_up_again(
    world: World, export: tuple[Archive, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeepError("the power is gone")

    with monkeypatch.context() as change:
        change.setattr(restore.Homes, "load", interrupted)
        with pytest.raises(KeepError, match="the power is gone"):
            _restore(world, export)
    monkeypatch.setattr(Kubeflow, "runs", 2)
    _restore(world, export)
    versions = world.s3.list_object_versions(Bucket="models", Prefix="m/v")["Versions"]
    assert len(versions) == 2
    assert not (environment.state_dir() / "restoring/pr-1").exists()


def test_a_stack_with_runs_of_its_own_is_left_alone(
    world: World, export: tuple[Archive, Manifest], kubeflow: type[Kubeflow]
) -> None:
    kubeflow.runs = 3
    with pytest.raises(KeepError, match="holds 3 runs of Kubeflow of its own"):
        _restore(world, export)
    assert "Contents" not in world.s3.list_objects_v2(Bucket="models")


def test_a_home_without_its_notebook_stays_in_the_export(
    world: World,
    export: tuple[Archive, Manifest],
    kubeflow: type[Kubeflow],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert not kubeflow.schedules
    world.has("notebooks")
    _restore(world, export)
    assert "no notebook notebooks/notebook here: its home stays in" in capsys.readouterr().out


def _manifest(revision: str, content: Content) -> Manifest:
    return Manifest(
        format=1,
        made="2026-07-01T00:00:00+00:00",
        stack="pr-1",
        database=Database(
            content=content, mlflow="2.0", revision=revision, models=1, model_versions=0, runs=0
        ),
    )


def test_tables_of_an_earlier_mlflow_are_upgraded_in_a_copy(tmp_path: Path, world: World) -> None:
    assert world
    found = archive.prepare(tmp_path / "kept")
    _make_old(found.database)
    before = archive.content_of(found.database)
    manifest = _manifest(_OLD_REVISION, before)
    restore.check_revision(manifest)
    environment.state_dir().mkdir(exist_ok=True)
    with restore.up_to_date(found, manifest) as (file, content):
        assert file != found.database
        assert archive.content_of(file) == content
        with closing(sqlite3.connect(file)) as database:
            (revision,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
            assert database.execute("SELECT name FROM registered_models").fetchall() == [("old",)]
    assert revision not in ("", _OLD_REVISION)
    assert archive.content_of(found.database) == before


def test_tables_of_a_later_mlflow_are_refused() -> None:
    manifest = _manifest("ffffffffffff", Content(bytes=0, sha256="0" * 64))
    with pytest.raises(ArchiveError, match=r"revision ffffffffffff, which this version.*not know"):
        restore.check_revision(manifest)


def _make_old(file: Path) -> None:
    """Make MLflow's tables as an earlier version of it did, with a model in them."""
    older_mlflow.make(file, _OLD_REVISION)
    with closing(sqlite3.connect(file)) as database:
        database.execute("INSERT INTO registered_models (name) VALUES ('old')")
        database.commit()
