"""Debian packages that builds and nodes call; only those whose executable is missing."""

import os
import shutil
import subprocess
from collections.abc import Mapping

from mlops_toolchain.artefacts import HOST_PACKAGES
from mlops_toolchain.errors import ToolchainError, likely_cause

_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LINES_SHOWN = 10
# What a package is of no use without, and has no executable to look for.
_COMPANIONS = {"gcc": "libc6-dev", "chromium": "fonts-dejavu-core"}


def missing(packages: Mapping[str, str]) -> list[str]:
    """Return the packages to install, in the order of the list.

    Args:
        packages: executables to packages.
    """
    path = f"{os.environ.get('PATH', '')}:{_SEARCH_PATH}"
    wanted = [p for program, p in packages.items() if not shutil.which(program, path=path)]
    return wanted + [_COMPANIONS[package] for package in wanted if package in _COMPANIONS]


def ensure(wanted: Mapping[str, str] = HOST_PACKAGES) -> None:
    """Install what is missing, and say which.

    Args:
        wanted: executables to packages.

    Raises:
        ToolchainError: not root, no apt, or apt failed.
    """
    packages = missing(wanted)
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
