"""Locks between processes, by flock(2): released by the kernel when a process dies."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from mlops_infra.node.errors import BusyError


@contextlib.contextmanager
def locked(path: Path, *, wait: float, what: str, remove: bool = False) -> Iterator[None]:
    """Hold the lock file `path` exclusively; with `remove`, delete it at the end.

    Raises BusyError when another process still holds it after `wait` seconds.
    """
    deadline = time.monotonic() + wait
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _acquire(descriptor, deadline, wait, what)
        except BaseException:
            os.close(descriptor)
            raise
        # Another process may have removed the file between open and lock: then lock the new one
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_ino == os.fstat(descriptor).st_ino:  # noqa: PTH116
                break
        os.close(descriptor)
    try:
        yield
    finally:
        if remove:
            path.unlink(missing_ok=True)
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock file `path` now."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _acquire(descriptor: int, deadline: float, wait: float, what: str) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise BusyError(
                    f"another process has been working on {what} for {wait:.0f} s: wait for it to "
                    "end, or end it, and run the command again"
                ) from None
            time.sleep(0.05)
        else:
            return
