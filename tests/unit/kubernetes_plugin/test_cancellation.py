"""A cancelled wait ends, whenever the cancellation comes."""

import asyncio
from typing import Any, Never

import pytest

from mlops_kubernetes.cancellation import Cancellation, CancelledByUserError
from mlops_kubernetes.client import Client
from mlops_kubernetes.discovery import Discovery, Location
from mlops_kubernetes.kinds import Endpoint, Kind
from mlops_kubernetes.kubeconfig import Access
from mlops_kubernetes.watching import Follower


def follower() -> Follower:
    """One that is never connected."""
    kind = Kind("v1", "ConfigMap")
    endpoint = Endpoint("configmaps", namespaced=True)
    location = Location(kind=kind, endpoint=endpoint, namespace="default", name="conf")
    client = Client(Access(server="https://127.0.0.1:1"))
    return Follower(Discovery(client), location)


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.parametrize("between", range(6), ids=lambda turns: f"{turns}-turns-later")
async def test_a_cancellation_that_comes_with_a_change_of_the_object_ends_the_wait(
    between: int,
) -> None:
    followed = follower()

    async def forever() -> Never:
        while True:
            await followed.changed(60)

    task = asyncio.create_task(forever())
    await turns(3)
    followed.saw(None)
    await turns(between)
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()


async def test_work_that_loses_a_cancellation_is_cancelled_again() -> None:
    losses = 0

    async def deaf() -> Never:
        nonlocal losses
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if losses == 2:
                    raise
                losses += 1

    cancellation = Cancellation()
    waiting = asyncio.create_task(cancellation.run(deaf(), seconds=60))
    await turns(3)
    cancellation.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(CancelledByUserError):
            await waiting
    assert losses == 2


async def test_the_end_of_patience_ends_the_work() -> None:
    began: list[Any] = []

    async def slow() -> None:
        began.append(asyncio.current_task())
        await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await Cancellation().run(slow(), seconds=0.05)
    assert began[0].cancelled()
