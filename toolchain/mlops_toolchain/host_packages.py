"""Debian packages that builds and nodes call; only those whose executable is missing."""

import os
import shutil
import subprocess

from mlops_toolchain.artefacts import HOST_PACKAGES
from mlops_toolchain.errors import ToolchainError, likely_cause

_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LINES_SHOWN = 10


def missing() -> list[str]:
    """Return the packages to install, in the order of the list."""
    path = f"{os.environ.get('PATH', '')}:{_SEARCH_PATH}"
    wanted = [p for program, p in HOST_PACKAGES.items() if not shutil.which(program, path=path)]
    if "gcc" in wanted:
        wanted.append("libc6-dev")
    return wanted


def ensure() -> None:
    """Install what is missing, and say which.

    Raises:
        ToolchainError: not root, no apt, or apt failed.
    """
    packages = missing()
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise ToolchainError(
            f"{', '.join(packages)} are missing and this machine has no apt-get: the toolchain "
            "supports Debian and its derivatives"
        )
    if os.geteuid() != 0:
        raise ToolchainError(f"{', '.join(packages)} must be installed: run this as root")
    print(f"[toolchain] installing Debian packages: {', '.join(packages)}", flush=True)
    for command in (
        ["apt-get", "-qq", "update"],
        ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", *packages],
    ):
        result = subprocess.run(
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            output = (result.stdout + result.stderr).strip().splitlines()[-_LINES_SHOWN:]
            cause = likely_cause("\n".join(output)) or "see apt's words"
            raise ToolchainError(
                "\n".join([f"{' '.join(command)} failed: {cause}", *(f"  | {x}" for x in output)])
            )
