"""What is done to MLflow's database in its Pod, as the process that it is there."""

import hashlib
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mlops_stack.backup import pod_script

PROGRAM = Path(pod_script.__file__).read_text()


def _database(file: Path, *, models: int = 0, revision: str = "abc") -> Path:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(
            "PRAGMA journal_mode=WAL; CREATE TABLE alembic_version (version_num TEXT);"
            "CREATE TABLE registered_models (name TEXT); CREATE TABLE runs (id TEXT);"
            "CREATE TABLE model_versions (name TEXT, version INT);"
        )
        connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        for number in range(models):
            connection.execute("INSERT INTO registered_models VALUES (?)", (f"m{number}",))
            connection.execute("INSERT INTO model_versions VALUES (?, 1)", (f"m{number}",))
        connection.commit()
    return file


def _run(*words: object, stdin: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words)],
        input=stdin.read_bytes() if stdin else b"",
        capture_output=True,
        check=False,
    )


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_database_in_use_is_exported_as_of_one_moment(tmp_path: Path) -> None:
    database = _database(tmp_path / "mlflow.db", models=2)
    with closing(sqlite3.connect(database)) as writer:
        # What is committed but still in the log beside the file belongs to it; the rest does not.
        writer.execute("INSERT INTO registered_models VALUES ('committed')")
        writer.commit()
        writer.execute("INSERT INTO registered_models VALUES ('not yet')")
        done = _run("export", database, tmp_path / "copy.db")
    told = json.loads(done.stdout)
    copy = tmp_path / "copy.db"
    assert (told["models"], told["model_versions"], told["runs"]) == (3, 2, 0)
    assert (told["bytes"], told["sha256"]) == (copy.stat().st_size, _sha256(copy))
    assert told["mlflow"]


def test_an_empty_server_takes_an_export_while_it_is_read(tmp_path: Path) -> None:
    kept = _database(tmp_path / "kept.db", models=2)
    database = _database(tmp_path / "mlflow.db")
    with closing(sqlite3.connect(database)) as server:
        assert server.execute("SELECT count(*) FROM registered_models").fetchone() == (0,)
        done = _run("restore", database, tmp_path / "copy.db", _sha256(kept), stdin=kept)
        assert done.returncode == 0, done.stderr
        assert server.execute("SELECT name FROM registered_models").fetchall() == [("m0",), ("m1",)]
    # An import that was interrupted just before its end is tried again.
    done = _run("restore", database, tmp_path / "copy.db", _sha256(kept), stdin=kept)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("held", "sha256", "message"),
    [
        ({"models": 1}, "", "holds 1 models and 0 runs of its own already"),
        ({"revision": "xyz"}, "", "of revision abc, those of this server of revision xyz"),
        ({}, "0" * 64, "the database arrived with SHA-256"),
    ],
)
def test_a_refused_import_changes_nothing(
    tmp_path: Path, held: dict[str, int], sha256: str, message: str
) -> None:
    kept = _database(tmp_path / "kept.db", models=2)
    database = _database(tmp_path / "mlflow.db", **held)
    before = database.read_bytes()
    done = _run("restore", database, tmp_path / "copy.db", sha256 or _sha256(kept), stdin=kept)
    assert done.returncode == 1
    assert message in done.stderr.decode()
    assert database.read_bytes() == before


def test_a_damaged_database_is_not_exported(tmp_path: Path) -> None:
    database = _database(tmp_path / "mlflow.db", models=500)
    content = bytearray(database.read_bytes())
    content[4096:4196] = bytes(100)
    database.write_bytes(content)
    assert _run("export", database, tmp_path / "copy.db").returncode == 1
