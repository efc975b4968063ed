"""Ending operations early when the user cancels an update."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class CancelledByUserError(Exception):
    """The update was cancelled while an operation waited."""

    def __init__(self) -> None:
        super().__init__("the update was cancelled; run it again to continue")


class Cancellation:
    """Whether the engine has told the plugin to wind down."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def cancel(self) -> None:
        """End every wait that is under way or comes later."""
        self._event.set()

    async def run(self, work: Coroutine[Any, Any, _T], *, seconds: float) -> _T:
        """Run something for a limited time, until it ends or the user cancels.

        Raises:
            CancelledByUserError: the user cancelled.
            TimeoutError: the time is over.
        """
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait({task, stop}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if stop.done():
                raise CancelledByUserError
            raise TimeoutError
        finally:
            stop.cancel()
            task.cancel()
            await asyncio.gather(stop, task, return_exceptions=True)

    async def sleep(self, seconds: float) -> None:
        """Sleep.

        Raises:
            CancelledByUserError: the user cancelled.
        """
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return
        raise CancelledByUserError
