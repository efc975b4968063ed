"""How far a copy has come, said from time to time."""

import time

from mlops_stack import report
from mlops_stack.backup.archive import mib

_TELL_SECONDS = 10


class Progress:
    """Counts objects and their bytes.

    Args:
        what: what is copied, for the lines.
        count: how many objects there are.
        size: how many bytes.
    """

    def __init__(self, what: str, *, count: int, size: int) -> None:
        self._what, self._count, self._size = what, count, size
        self._done, self._bytes = 0, 0
        self._told = time.monotonic()

    def add(self, size: int) -> None:
        """Count an object, and say how far the copy is if that is some seconds ago."""
        self._done += 1
        self._bytes += size
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self._told = time.monotonic()
            report.plain(
                f"  {self._what}: {self._done} of {self._count} objects, {mib(self._bytes)} of "
                f"{mib(self._size)}"
            )
