"""The environment in which Pulumi runs in this checkout: pinned tools, local state, passphrase."""

import contextlib
import os
import secrets
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from mlops_stack import ambient
from mlops_toolchain import layout


class PassphraseError(Exception):
    """The stacks' secrets cannot be read with the passphrase that there is."""


def state_dir() -> Path:
    """Return the ignored folder of the checkout that holds Pulumi's state.

    It is closed to others: the states in it, their backups and their history are readable files.
    """
    folder = layout.checkout() / ".state"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
    return folder


def local_stacks() -> Path:
    """Return the folder of the states that this checkout keeps."""
    return state_dir() / "pulumi/.pulumi/stacks"


def _local_backend() -> str:
    # Without files of attributes beside the states: a killed engine may leave an empty one, which
    # no later command could read.
    return f"file://{state_dir() / 'pulumi'}?metadata=skip"


def is_local(variables: Mapping[str, str]) -> bool:
    """Return whether variables let Pulumi keep states where `local_stacks` says.

    Args:
        variables: of an environment, as `variables` makes it.
    """
    return variables.get("PULUMI_BACKEND_URL") == _local_backend()


def passphrase_file() -> Path:
    """Return the file with the passphrase of the stacks' secrets, made on first use (mode 0600).

    Raises:
        PassphraseError: it is lost or empty, and a new one could not read the stacks that there
            are.
    """
    file = state_dir() / "passphrase"
    if not file.exists():
        _refuse_lost(file, "is lost")
        # A link appears whole or not at all: of two commands at once, one makes it and the other
        # reads the same, and an interrupted one leaves no empty passphrase.
        descriptor, written = tempfile.mkstemp(dir=file.parent)  # mode 0600
        try:
            with os.fdopen(descriptor, "w") as stream:
                stream.write(secrets.token_urlsafe(32))
            with contextlib.suppress(FileExistsError):
                os.link(written, file)
        finally:
            Path(written).unlink()
    elif not file.read_text().strip():
        _refuse_lost(file, "is empty")
        file.unlink()
        return passphrase_file()
    return file


def _refuse_lost(file: Path, what: str) -> None:
    if stacks := sorted(state.stem for state in local_stacks().rglob("*.json")):
        raise PassphraseError(
            f"the passphrase {file} {what}, and the secrets of stack {', '.join(stacks)} are "
            "encrypted with it; bring the file back from a copy, or give the passphrase in "
            "PULUMI_CONFIG_PASSPHRASE. Nothing was changed"
        )


def backend() -> str:
    """Return where the stacks' states are, without credentials and options, for people."""
    parts = urlsplit(variables()["PULUMI_BACKEND_URL"])
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def variables() -> dict[str, str]:
    """Return the variables that Pulumi needs; what the user has set stays as it is.

    An empty variable counts as not set: that is how CI systems pass a secret that does not exist.

    Raises:
        PassphraseError: see `passphrase_file`; or the user's own passphrase is empty.
    """
    (state_dir() / "pulumi").mkdir(parents=True, exist_ok=True)
    ours = {
        "PULUMI_BACKEND_URL": _local_backend(),
        "PULUMI_HOME": str(layout.pulumi_home()),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # Most of an update is waiting for Pods. By default four of them a core are waited for at
        # once, and what the others need is made only when one of these is ready.
        "PULUMI_PARALLEL": "64",
        "PULUMI_PYTHON_CMD": str(layout.checkout() / ".venv/bin/python"),
    }
    theirs = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    if not theirs and os.environ.get("PULUMI_CONFIG_PASSPHRASE") == "":
        raise PassphraseError(
            "PULUMI_CONFIG_PASSPHRASE is empty, so that nothing would be encrypted: unset it for "
            "the checkout's own passphrase, or give one"
        )
    if not theirs and "PULUMI_CONFIG_PASSPHRASE" not in os.environ:
        ours["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(passphrase_file())
    chosen = {name: os.environ.get(name) or value for name, value in ours.items()}
    chosen |= ambient.variables(os.environ)
    tools = str(layout.bin_dir())
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    chosen["PATH"] = os.pathsep.join([tools, *(entry for entry in path if entry != tools)])
    return chosen


def _uv() -> list[str]:
    """Return the folder of the uv that the bootstrap has installed last, if it has."""
    found = (layout.cache() / "uv").glob("*/bin")
    return [str(folder) for folder in sorted(found, key=lambda folder: folder.stat().st_mtime)[-1:]]


def shell_exports() -> str:
    """Return the variables as POSIX shell commands, for `env.sh`.

    A shell has the commands of the project's Python too, and uv.
    """
    exported = variables()
    tools, *rest = exported["PATH"].split(os.pathsep)
    own = [str(layout.checkout() / ".venv/bin"), *_uv()]
    exported["PATH"] = os.pathsep.join(
        [tools, *own, *(entry for entry in rest if entry not in own)]
    )
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in exported.items())
