"""A shared cache in a folder, for example on a network's file system."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mlops_toolchain.shared_cache.store import NotThereError, StoreError


class FolderStore:
    """Files below a folder; implements `store.Store`."""

    def __init__(self, folder: Path) -> None:
        self.shown = str(folder)
        self._folder = folder

    @contextmanager
    def read(self, path: str) -> Iterator[BinaryIO]:
        """Open a file."""
        try:
            # A pipe in a file's place would keep its reader waiting.
            descriptor = os.open(self._folder / path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise self._error(error) from None
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StoreError(f"{self.shown}: {path} is no file")
            yield stream

    def size(self, path: str) -> int | None:
        """Return a file's size."""
        try:
            return (self._folder / path).stat().st_size
        except FileNotFoundError as error:
            if isinstance(self._error(error), NotThereError):
                return None
            raise self._error(error) from None
        except OSError as error:
            raise self._error(error) from None

    def write(self, path: str, content: BinaryIO) -> None:
        """Write beside the file's place, and rename: readers see all of it or nothing."""
        target = self._folder / path
        temporary = None
        try:
            if not self._folder.is_dir():
                raise FileNotFoundError
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".pushing-", dir=target.parent)
            temporary = Path(name)
            with os.fdopen(descriptor, "wb") as stream:
                shutil.copyfileobj(content, stream, 2**20)
                stream.flush()
                os.fsync(descriptor)
            temporary.chmod(0o644)
            temporary.replace(target)
        except OSError as error:
            raise self._error(error) from None
        finally:
            if temporary:
                temporary.unlink(missing_ok=True)

    def _error(self, error: OSError) -> StoreError:
        if not self._folder.is_dir():
            # A file system that is not mounted looks like this.
            return StoreError(f"{self.shown} is no folder: mount it, or make it")
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return NotThereError(f"{self.shown} has no such file")
        return StoreError(f"{self.shown}: {error.strerror}")
