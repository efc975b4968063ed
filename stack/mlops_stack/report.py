"""What a command prints: phases with times, and the closing block."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


def plain(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


def note(text: str) -> None:
    """Print what a user should know beside a page that goes to standard output."""
    print(text, file=sys.stderr, flush=True)


def error(text: str) -> None:
    """Print an error where errors belong."""
    print(f"✗ {text}", file=sys.stderr, flush=True)


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Announce a phase, and end it with a mark and its seconds."""
    plain(f"• {name}")
    start = time.monotonic()
    try:
        yield
    except BaseException:
        plain(f"✗ {name} ({time.monotonic() - start:.1f} s)")
        raise
    plain(f"✓ {name} ({time.monotonic() - start:.1f} s)")


def table(rows: Sequence[tuple[str, str]]) -> None:
    """Print pairs in two columns."""
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        plain(f"  {name:<{width}}  {value}")
