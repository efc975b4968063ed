"""Ending operations early when the user cancels an update."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

_AGAIN_SECONDS: Final = 0.5


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
            await ended(stop)
            await ended(task)

    async def sleep(self, seconds: float) -> None:
        """Sleep.

        Raises:
            CancelledByUserError: the user cancelled.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        raise CancelledByUserError


async def ended(task: "asyncio.Future[Any]") -> None:
    """Cancel a task and return when it has ended, however it ends.

    One cancellation may not be enough: code that catches it together with the end of what it
    waited for goes on (`asyncio.wait_for` did so before Python 3.12), and a task that waits
    without limit would then be waited for without limit.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_AGAIN_SECONDS)
    if not task.cancelled():
        task.exception()  # Else asyncio prints that nobody looked at it.
