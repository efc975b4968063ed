"""Removes folders in which builds have left mounts."""

import re
import shutil
import subprocess
from pathlib import Path


def remove(folder: Path) -> None:
    """Unmount whatever is mounted in a folder, and remove the folder.

    buildah's overlay driver leaves a bind mount of its own root, and none of its commands takes it
    away when it is interrupted: the folder could never be removed.
    """
    for mount in reversed(_mounts_in(folder.resolve())):
        subprocess.run(["umount", "--lazy", mount], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def _mounts_in(folder: Path) -> list[Path]:
    """Return the mount points in a folder, in the order in which they were mounted."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    # The kernel writes a space in a path as \040.
    paths = (
        Path(re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), line.split()[1]))
        for line in lines
    )
    return [path for path in paths if path.is_relative_to(folder)]
