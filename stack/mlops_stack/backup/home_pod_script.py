"""What is done to a notebook's home, in a Pod that has its volume.

The text of this file goes to the Pod's own Python, so it needs the standard library alone. It is
given a command and the folder; `state` and `unpack` answer in one line of JSON.
"""

import hashlib
import json
import os
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What a server that nobody uses writes by itself, or what is worth nothing without its process.
_PASSING = (".cache/", ".local/share/jupyter/runtime/", ".ipython/profile_default/")
# Made with the file system.
_OF_THE_DISK = "lost+found"


def state(home: Path) -> dict[str, Any]:
    """Return how much there is, and a checksum of names, sizes and times."""
    digest, files, size = hashlib.sha256(), 0, 0
    for path in _found(home):
        name, seen = str(path.relative_to(home)), path.lstat()
        if path.is_file() and not path.is_symlink():
            files, size = files + 1, size + seen.st_size
            if not name.startswith(_PASSING):
                digest.update(
                    f"{name}\0{seen.st_size}\0{seen.st_mtime_ns}\0".encode(errors="replace")
                )
    return {"files": files, "bytes": size, "sha256": digest.hexdigest()}


def pack(home: Path) -> None:
    """Write the home as a tar to standard output."""
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT) as target:
        for path in _found(home):
            if path.is_socket() or path.is_fifo():
                continue
            target.add(path, arcname=str(path.relative_to(home)), recursive=False)


def unpack(home: Path) -> dict[str, Any]:
    """Put a tar from standard input into the home; what is there under another name stays."""
    files = size = 0
    # Links to anywhere are part of a home; older Pythons have no filters.
    options: dict[str, Any] = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as source:
        for member in source:
            if member.name.startswith("/") or ".." in Path(member.name).parts:
                raise SystemExit(f"{member.name} is not below the home")
            target = home / member.name
            if not member.isdir() and (target.is_symlink() or target.exists()):
                target.unlink()
            source.extract(member, home, **options)
            if member.isfile() or member.islnk():
                files, size = files + 1, size + target.stat().st_size
    os.sync()
    return {"files": files, "bytes": size}


def _found(home: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(home):
        folders.sort()
        if Path(folder) == home and _OF_THE_DISK in folders:
            folders.remove(_OF_THE_DISK)
        for name in sorted([*folders, *files]):
            yield Path(folder, name)


def main(command: str, home: str) -> None:
    """Run a command."""
    match command:
        case "pack":
            pack(Path(home))
        case "state":
            print(json.dumps(state(Path(home))))
        case _:
            print(json.dumps(unpack(Path(home))))


if __name__ == "__main__":
    main(*sys.argv[1:])
