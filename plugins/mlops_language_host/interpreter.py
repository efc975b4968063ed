"""Which Python interpreter runs a program or a plugin."""

import sys
from collections.abc import Mapping
from pathlib import Path


class InterpreterNotFoundError(Exception):
    """The environment named by the project's runtime options does not exist."""


def interpreter(root: str, options: Mapping[str, object]) -> str:
    """Return the interpreter for a project.

    Args:
        root: folder of Pulumi.yaml (or PulumiPlugin.yaml, PulumiPolicy.yaml).
        options: the `runtime.options` of that file; `virtualenv` names an environment, relative
            to root, and `toolchain: uv` means `.venv`.

    Raises:
        InterpreterNotFoundError: the named environment holds no interpreter.
    """
    environment = options.get("virtualenv")
    if not environment and options.get("toolchain") == "uv":
        environment = ".venv"
    if not environment:
        return sys.executable
    python = Path(root, str(environment), "bin", "python")
    if not python.exists():
        raise InterpreterNotFoundError(
            f"the project names the Python environment {environment!r}, but {python} does not "
            "exist; create it with `uv sync --locked` (or `make toolchain`) in that folder"
        )
    return str(python)
