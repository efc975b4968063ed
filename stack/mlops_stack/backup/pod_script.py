"""What is done to MLflow's database, in its Pod: only there is the volume that holds it.

The text of this file goes to the Pod's own Python, so it needs the standard library alone. It is
given a command, the database (or the server's address) and a scratch file, and answers in one line
of JSON.
"""

import hashlib
import json
import shutil
import sqlite3
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import urlopen


def wake(server: str) -> dict[str, Any]:
    """Let a server make its database, which it does when it is first asked for something."""
    url = f"{server}/api/2.0/mlflow/experiments/search?max_results=1"
    with urlopen(url, timeout=120) as answer:  # noqa: S310 - the Pod's own server
        return {"status": answer.status}


def describe(database: Path) -> dict[str, Any]:
    """Return what a database holds."""
    with closing(_reading(database)) as connection:
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        counts = {
            name: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for name, table in (
                ("models", "registered_models"),
                ("model_versions", "model_versions"),
                ("runs", "runs"),
            )
        }
    return {"revision": revision, **counts}


def export(database: Path, scratch: Path) -> dict[str, Any]:
    """Copy a database that is in use, as of one moment, to a scratch file.

    Copies of the same content are the same bytes.
    """
    # A file that is there would count in itself how often it was written.
    scratch.unlink(missing_ok=True)
    with closing(_reading(database)) as source, closing(sqlite3.connect(scratch)) as copy:
        source.backup(copy)
    _check(scratch)
    return {
        **describe(scratch),
        "mlflow": version("mlflow"),
        "bytes": scratch.stat().st_size,
        "sha256": _digest(scratch),
    }


def restore(database: Path, scratch: Path, sha256: str) -> dict[str, Any]:
    """Replace an empty database's content by that of a file which standard input brings.

    One that holds the same already, from an import that was interrupted, is taken as it is.
    """
    with scratch.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    if (found := _digest(scratch)) != sha256:
        raise SystemExit(f"the database arrived with SHA-256 {found}, not {sha256}")
    _check(scratch)
    new, old = describe(scratch), describe(database)
    if new["revision"] != old["revision"]:
        raise SystemExit(
            f"its tables are of revision {new['revision']}, those of this server of revision "
            f"{old['revision']}"
        )
    if (old["models"] or old["runs"]) and _contents(database) != _contents(scratch):
        raise SystemExit(
            f"the server holds {old['models']} models and {old['runs']} runs of its own already"
        )
    with closing(_reading(scratch)) as source, closing(sqlite3.connect(database)) as target:
        # A transaction of its own: another program sees the old content or the new.
        source.backup(target)
    _check(database)
    if _contents(database) != _contents(scratch):
        raise SystemExit("the database does not hold what was copied into it")
    return describe(database)


def _reading(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)


def _check(database: Path) -> None:
    with closing(_reading(database)) as connection:
        (result,) = connection.execute("PRAGMA integrity_check").fetchone()
    if result != "ok":
        raise SystemExit(f"{database} is damaged: {result}")


def _contents(database: Path) -> str:
    """Return a checksum of every table and row; files of equal content may differ."""
    digest = hashlib.sha256()
    with closing(_reading(database)) as connection:
        for statement in connection.iterdump():
            digest.update(statement.encode())
    return digest.hexdigest()


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def main(command: str, place: str, scratch: str = "", sha256: str = "") -> None:
    """Run a command and print its answer."""
    match command:
        case "wake":
            answer = wake(place)
        case "describe":
            answer = describe(Path(place))
        case "export":
            answer = export(Path(place), Path(scratch))
        case _:
            answer = restore(Path(place), Path(scratch), sha256)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
