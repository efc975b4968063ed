"""Notices that the engine which started a plugin is gone: a killed engine ends nothing itself."""

import asyncio
from collections.abc import Callable
from typing import Final

_CHECK_SECONDS: Final = 2.0
_MISSES: Final = 3


async def engine_gone(address: Callable[[], str]) -> None:
    """Return when the engine has not taken a connection three times, two seconds apart.

    Args:
        address: the engine's `host:port` as it is known now; empty for a plugin that was started by
            hand, which nothing ends.
    """
    misses = 0
    while misses < _MISSES:
        await asyncio.sleep(_CHECK_SECONDS)
        host, _, port = address().rpartition(":")
        if not host:
            continue
        try:
            _, writer = await asyncio.wait_for(
                asyncio.open_connection(host, int(port)), _CHECK_SECONDS
            )
        except (OSError, TimeoutError):
            misses += 1
            continue
        misses = 0
        writer.close()
