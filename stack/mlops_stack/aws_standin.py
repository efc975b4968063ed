"""The project's stand-in of Pulumi's aws plugin, in a plugin folder of its own."""

import os
import shlex
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from mlops_stack import environment


def folder_name() -> str:
    """Return the name that the engine looks for, with the version of the SDK."""
    return f"resource-aws-v{version('pulumi-aws')}"


def make_home(home: Path) -> Path:
    """Make a folder for `PULUMI_HOME` whose aws plugin is the stand-in, and return it.

    Args:
        home: the folder; it does not exist, or is empty.
    """
    usual = Path(environment.variables()["PULUMI_HOME"], "plugins")
    plugins = home / "plugins"
    plugins.mkdir(parents=True)
    for found in usual.glob("resource-*"):
        # The engine keeps notes of each plugin's last use beside it.
        if found.is_dir() and not found.name.startswith("resource-aws-"):
            # The engine does not look behind links of folders.
            shutil.copytree(found, plugins / found.name, copy_function=_link)
    launcher = plugins / folder_name() / "pulumi-resource-aws"
    launcher.parent.mkdir()
    command = shlex.join([sys.executable, "-m", "mlops_aws_standin"])
    launcher.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    launcher.chmod(0o755)
    return home


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
