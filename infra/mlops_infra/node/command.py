"""Running programs, with errors that quote them."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlops_infra.node.errors import CommandError

_LINE = 400


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> str:
    """Run a program to its end and return what it printed.

    Raises CommandError, quoting the last lines, when it fails, is missing, or needs longer than
    `timeout` seconds.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            env=env,
            timeout=timeout,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandError(f"{words[0]} is not installed: run `make toolchain`") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"`{' '.join(words)}` did not end within {timeout:.0f} s") from error
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise CommandError(f"`{' '.join(words)}` failed with status {done.returncode}:\n{said}")
    return done.stdout


def tail(path: Path, lines: int = 12) -> str:
    """The last lines of a log, each cut to a readable length, or a note that there is none."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return f"({path} was not written)"
    return "\n".join(line[:_LINE] for line in text.strip().splitlines()[-lines:])
