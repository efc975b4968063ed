"""Command lines of all processes of this machine, the node's among them, looked at all the time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PAUSE_SECONDS = 0.5


@contextmanager
def collected() -> Iterator[set[str]]:
    """Collect while the block runs. A process that lives for less than the pause may be missed."""
    found: set[str] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_PAUSE_SECONDS):
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    found.add(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield found
    finally:
        ended.set()
        looking.join()
