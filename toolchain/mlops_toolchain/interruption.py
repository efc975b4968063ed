"""Ends a build at a point of its own choosing when a signal asks for it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether a signal has asked the build to end."""

    def __init__(self) -> None:
        self._asked = False

    def note(self, _number: int, _frame: FrameType | None) -> None:
        """Remember the signal; a handler for `signal.signal`."""
        self._asked = True

    def check(self) -> None:
        """Raise what the signal would have raised.

        Raises:
            KeyboardInterrupt: a signal has come.
        """
        if self._asked:
            raise KeyboardInterrupt


@contextmanager
def deferred() -> Iterator[Interruption]:
    """Have signals that raise KeyboardInterrupt be noted instead, to be asked for by `check`.

    Raised wherever the main thread happens to be, the exception can leave a future's lock held,
    and the thread that has the future then waits for ever. Ignored signals stay ignored. In the
    main thread only, as `signal.signal` demands.

    Raises:
        KeyboardInterrupt: a signal came that nobody has asked for.
    """
    interruption = Interruption()
    raising = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is signal.default_int_handler
    ]
    for number in raising:
        signal.signal(number, interruption.note)
    try:
        yield interruption
    finally:
        for number in raising:
            signal.signal(number, signal.default_int_handler)
    interruption.check()
