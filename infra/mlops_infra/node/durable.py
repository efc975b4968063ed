"""Files that a power cut leaves whole: as they were before, or as they are to be."""

import os
from pathlib import Path


def write(file: Path, text: str) -> None:
    """Write a file in one step: a reader sees the old content or the new one.

    Its folder must exist. Raises OSError when the disk refuses it.
    """
    draft = file.with_suffix(".new")
    with draft.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.rename(file)
    # Without it, a power cut could still bring the folder back without the file
    for path in (file.parent, file.parent.parent):
        sync_folder(path)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
