"""What an upgrade that was interrupted goes on with.

It is written when the data is whole in its folder and before the cluster is deleted, and removed
when the data is in the new cluster.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_infra.node import durable
from mlops_stack import environment, report
from mlops_stack.settings import SettingsError


class UpgradeError(SettingsError):
    """A stack cannot be upgraded so, or an upgrade of it has to end first; nothing was changed."""


class Upgrade(BaseModel):
    """An upgrade whose data is in a folder.

    Attributes:
        before: the version that the cluster had.
        after: the version that it gets.
        folder: where the data is.
        imported: whether the new cluster has all of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    before: str
    after: str
    folder: Path
    imported: bool = False


def read(stack: str) -> Upgrade | None:
    """Return the upgrade of a stack that has not ended; None if there is none.

    Raises:
        UpgradeError: the file cannot be understood.
    """
    file = _file(stack)
    try:
        return Upgrade.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise UpgradeError(
            f"{file}, which says where the data of an interrupted upgrade is, cannot be read "
            f"({str(error).splitlines()[0]}); it is in {environment.state_dir() / 'kept'} or where "
            "KEEP_TO was: remove the file, then `make down` and `make up RESTORE=folder`"
        ) from error


def write(stack: str, upgrade: Upgrade) -> None:
    """Note an upgrade; it is on the disk when this returns.

    Raises:
        OSError: the disk refuses it.
    """
    file = _file(stack)
    if not file.parent.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        durable.sync_folder(file.parent.parent.parent)
    durable.write(file, upgrade.model_dump_json(indent=2) + "\n")


def forget(stack: str) -> None:
    """Remove the note: the data is in the new cluster, or the old one still has it."""
    _file(stack).unlink(missing_ok=True)


def refuse_meanwhile(stack: str, make_argument: str) -> None:
    """Refuse a command on a stack whose upgrade has not ended.

    Raises:
        UpgradeError: it has not.
    """
    if found := read(stack):
        raise UpgradeError(
            f"the upgrade of stack {stack} to Kubernetes {found.after} has not ended: "
            f"`make upgrade{make_argument}` goes on with it. Its data is in {found.folder}. "
            "Nothing was changed"
        )


def forget_destroyed(stack: str) -> None:
    """Drop the upgrade of a stack that is destroyed, and say where its data still is."""
    try:
        found = read(stack)
    except UpgradeError as error:
        report.error(str(error))
        return
    if found:
        report.plain(
            f"the stack's data from before its upgrade is still in {found.folder}; "
            f"`make up RESTORE={found.folder}` brings it back"
        )
        forget(stack)


def _file(stack: str) -> Path:
    return environment.state_dir() / "upgrading" / f"{stack}.json"
