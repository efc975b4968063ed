"""Brings the tables of MLflow's SQLite database to the revision of the installed MLflow.

MLflow's server refuses to start on tables of another revision. This runs before it, in its image,
as `python3 -c` with this file's text: what is imported late is imported only when there is work.

The tables are changed in a copy, which then takes the database's place. SQLite commits a revision's
statements one by one: a change in place that is interrupted would leave tables of no revision. The
database as it was stays beside the new one, named by its revision.
"""

import contextlib
import os
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory


class UpgradeError(Exception):
    """The database cannot be brought to the installed MLflow's revision; it is as it was."""


def upgrade(database: Path) -> str | None:
    """Bring a database to the installed MLflow's revision.

    Args:
        database: the file, which nothing else has open; need not exist.

    Returns:
        The revision that it had, if that was another.

    Raises:
        UpgradeError: a newer MLflow has written it, or it is damaged, or the disk is full.
    """
    found = revision(database)
    if found is None or found == installed_revision():
        return None
    if found not in _known_revisions():
        raise UpgradeError(_refusal(database, found))
    draft = database.with_name(f"{database.name}.upgrading")
    try:
        _copy(database, draft)
        _migrate(draft)
        _sync(draft)
    except (OSError, sqlite3.Error, UpgradeError) as error:
        draft.unlink(missing_ok=True)
        raise UpgradeError(
            f"{database}: its tables could not be brought from revision {found} to "
            f"{installed_revision()}, and it is as it was: {error}"
        ) from error
    kept = kept_copy(database, found)
    # A link, not a rename: at no moment is there no database, which MLflow would take for a first
    # start.
    kept.unlink(missing_ok=True)
    os.link(database, kept)
    draft.replace(database)
    _sync(database.parent)
    return found


def kept_copy(database: Path, found: str) -> Path:
    """Return where the database stays as it was before an upgrade from a revision."""
    return database.with_name(f"{database.name}.{found}")


def revision(database: Path) -> str | None:
    """Return the revision of a database's tables; None if it has none yet.

    Raises:
        UpgradeError: it is no database, or it cannot be read.
    """
    if not database.exists() or not database.stat().st_size:
        return None
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise UpgradeError(f"{database} cannot be read: {error}") from error
    except sqlite3.DatabaseError as error:
        raise UpgradeError(
            f"{database} cannot be read: {error}; put a copy in its place (see docs/upgrading.md)"
        ) from error
    return str(rows[0][0]) if rows else None


def installed_revision() -> str:
    """Return the revision that the installed MLflow's server needs."""
    return str(_scripts().get_current_head())


def _known_revisions() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


def _scripts() -> "ScriptDirectory":
    # Not by MLflow itself: importing that takes seconds.
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    spec = find_spec("mlflow")
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise UpgradeError("MLflow is not installed")
    return ScriptDirectory(str(Path(places[0], "store/db_migrations")))


def _refusal(database: Path, found: str) -> str:
    older = kept_copy(database, installed_revision())
    remedy = "go back to the version of the platform that wrote it"
    if older.exists():
        remedy += f", or put {older}, which was kept before its upgrade, in its place"
    return (
        f"{database} has tables of revision {found}, which MLflow {version('mlflow')} does not "
        f"know: a newer MLflow has written it. Tables cannot be taken back; {remedy}"
    )


def _copy(database: Path, draft: Path) -> None:
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    with (
        contextlib.closing(sqlite3.connect(database)) as source,
        contextlib.closing(sqlite3.connect(draft)) as target,
    ):
        source.backup(target)


def _migrate(draft: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{draft.absolute()}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise UpgradeError(f"`mlflow db upgrade` ended with {done.returncode}: {last}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main() -> int:
    """Upgrade the database that the command names; return the process's exit code."""
    database = Path(sys.argv[1])
    try:
        before = upgrade(database)
    except UpgradeError as error:
        print(error, file=sys.stderr)
        return 1
    if before:
        print(
            f"{database}: tables brought from revision {before} to {revision(database)}; "
            f"as it was: {kept_copy(database, before)}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
