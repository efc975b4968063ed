"""The environment in which Pulumi runs in this checkout: pinned tools, local state, passphrase."""

import contextlib
import os
import secrets
import shlex
import tempfile
from pathlib import Path

from mlops_stack import ambient
from mlops_toolchain import layout


def state_dir() -> Path:
    """Return the ignored folder of the checkout that holds Pulumi's state."""
    return layout.checkout() / ".state"


def passphrase_file() -> Path:
    """Return the file with the passphrase of the stacks' secrets, made on first use (mode 0600)."""
    file = state_dir() / "passphrase"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
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
    return file


def variables() -> dict[str, str]:
    """Return the variables that Pulumi needs; what the user has set stays as it is.

    An empty variable counts as not set: that is how CI systems pass a secret that does not exist.
    An empty passphrase is one all the same.
    """
    backend = state_dir() / "pulumi"
    backend.mkdir(parents=True, exist_ok=True)
    ours = {
        # Without files of attributes beside the states: a killed engine may leave an empty one,
        # which no later command could read.
        "PULUMI_BACKEND_URL": f"file://{backend}?metadata=skip",
        "PULUMI_HOME": str(layout.pulumi_home()),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # Most of an update is waiting for Pods. By default four of them a core are waited for at
        # once, and what the others need is made only when one of these is ready.
        "PULUMI_PARALLEL": "64",
        "PULUMI_PYTHON_CMD": str(layout.checkout() / ".venv/bin/python"),
    }
    theirs = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    if not theirs and "PULUMI_CONFIG_PASSPHRASE" not in os.environ:
        ours["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(passphrase_file())
    chosen = {name: os.environ.get(name) or value for name, value in ours.items()}
    chosen |= ambient.variables(os.environ)
    tools = str(layout.bin_dir())
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    chosen["PATH"] = os.pathsep.join([tools, *(entry for entry in path if entry != tools)])
    return chosen


def shell_exports() -> str:
    """Return the variables as POSIX shell commands, for `env.sh`."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables().items())
