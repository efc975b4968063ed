import contextlib
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_platform.tracking import mlflow_upgrade
from mlops_platform.tracking.mlflow_upgrade import (
    UpgradeError,
    installed_revision,
    kept_copy,
    revision,
)
from tests.unit import older_mlflow

# MLflow has changed several tables since, among them those of experiments, runs and traces.
_OLDER = "c1d2e3f4a5b6"
_RUN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database as an older MLflow left it, with an experiment and a run."""
    file = tmp_path_factory.mktemp("older") / "mlflow.db"
    older_mlflow.make(file, _OLDER)
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
            "VALUES (7, 'flights', 'mlflow-artifacts:/7', 'active')"
        )
        connection.execute(
            "INSERT INTO runs (run_uuid, name, experiment_id, lifecycle_stage, status, "
            "source_type, start_time, artifact_uri, user_id) "
            "VALUES (?, 'kept', 7, 'active', 'FINISHED', 'LOCAL', 1, 'mlflow-artifacts:/7', 'me')",
            (_RUN,),
        )
    return file


@pytest.fixture
def database(left_behind: Path, tmp_path: Path) -> Path:
    return shutil.copy(left_behind, tmp_path / "mlflow.db")


def in_pod(database: Path) -> subprocess.CompletedProcess[str]:
    """Run the step as the Pod does: the file's text, without the project's packages."""
    text = Path(mlflow_upgrade.__file__).read_text()
    command = [sys.executable, "-c", text, str(database)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def test_an_older_database_is_upgraded_and_stays_beside_as_it_was(
    database: Path, left_behind: Path
) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415

    assert revision(database) == _OLDER

    done = in_pod(database)

    assert done.returncode == 0, done.stderr
    assert f"from revision {_OLDER} to {installed_revision()}" in done.stdout
    assert revision(database) == installed_revision()
    # The server takes it, with what it held.
    run = SqlAlchemyStore(f"sqlite:///{database}", str(database.parent)).get_run(_RUN)
    assert (run.info.run_name, run.info.experiment_id) == ("kept", "7")
    assert kept_copy(database, _OLDER).read_bytes() == left_behind.read_bytes()
    assert sorted(f.name for f in database.parent.iterdir()) == ["mlflow.db", f"mlflow.db.{_OLDER}"]
    # The next start has nothing to do.
    before = database.stat()
    again = in_pod(database)
    assert (again.returncode, again.stdout) == (0, "")
    assert database.stat().st_mtime_ns == before.st_mtime_ns


def test_a_first_start_leaves_the_folder_to_the_server(tmp_path: Path) -> None:
    assert in_pod(tmp_path / "mlflow.db").returncode == 0
    assert not list(tmp_path.iterdir())


def test_an_upgrade_that_was_interrupted_begins_again(database: Path) -> None:
    database.with_name("mlflow.db.upgrading").write_bytes(b"half of a copy")

    assert mlflow_upgrade.upgrade(database) == _OLDER

    assert revision(database) == installed_revision()
    assert not database.with_name("mlflow.db.upgrading").exists()


def test_tables_of_a_newer_mlflow_are_refused_and_stay(database: Path) -> None:
    shutil.copy(database, kept_copy(database, installed_revision()))
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'fedcba987654'")
    before = database.read_bytes()

    done = in_pod(database)

    assert done.returncode == 1
    assert "tables of revision fedcba987654, which MLflow 3." in done.stderr
    assert "a newer MLflow has written it" in done.stderr
    assert f"put {kept_copy(database, installed_revision())}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert database.read_bytes() == before


def test_a_failed_upgrade_leaves_the_database_as_it_was(database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        # What a later revision makes is there already.
        connection.execute("CREATE TABLE job_executors (id INTEGER)")
        connection.execute("CREATE INDEX index_trace_info_archival_candidates ON runs (run_uuid)")
        connection.execute("DROP TABLE budget_policies")
    before = database.read_bytes()

    with pytest.raises(UpgradeError, match=r"and it is as it was: `mlflow db upgrade` ended with"):
        mlflow_upgrade.upgrade(database)

    assert database.read_bytes() == before
    assert [f.name for f in database.parent.iterdir()] == ["mlflow.db"]


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database at all" * 100)

    with pytest.raises(UpgradeError, match="not a database; put a copy in its place"):
        mlflow_upgrade.upgrade(tmp_path / "mlflow.db")
