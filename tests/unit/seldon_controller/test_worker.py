"""Every SeldonDeployment is looked at, after events, without them, and after failures."""

import asyncio
from typing import Any

from seldon_controller.worker import Worker
from tests.unit.seldon_controller.manifests import IMAGES, prepackaged
from tests.unit.seldon_controller.test_reconcile import Store


class Surroundings(Store):
    """A namespace with one SeldonDeployment, whose API server may be away."""

    away = False
    reads = 0

    def names(self) -> list[tuple[str, str]]:
        self._check()
        return [("models", "iris")]

    def read(self, namespace: str, name: str) -> dict[str, Any] | None:
        self.reads += 1
        self._check()
        return super().read(namespace, name) if name == "iris" else None

    def _check(self) -> None:
        if self.away:
            raise ConnectionError("Temporary failure in name resolution")


async def _until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def _run(store: Surroundings, scenario: Any, *, look: float) -> None:
    async def main() -> None:
        worker = Worker(store, IMAGES, look=look, gather=0.01)
        task = asyncio.create_task(worker.run())
        try:
            await scenario(worker)
        finally:
            task.cancel()

    asyncio.run(main())


def test_what_is_deleted_is_made_again_without_an_event() -> None:
    store = Surroundings(prepackaged())

    async def scenario(_: Worker) -> None:
        await _until(lambda: len(store.objects) == 3)
        store.objects.clear()
        await _until(lambda: len(store.objects) == 3)

    _run(store, scenario, look=0.02)


def test_an_event_is_not_waited_for() -> None:
    store = Surroundings(prepackaged())

    async def scenario(worker: Worker) -> None:
        await _until(lambda: len(store.objects) == 3)
        store.objects.clear()
        worker.look_at("models", "iris")
        await _until(lambda: len(store.objects) == 3)

    _run(store, scenario, look=60)


def test_an_api_server_that_is_away_for_long_ends_nothing() -> None:
    store = Surroundings(prepackaged())
    store.away = True

    async def scenario(worker: Worker) -> None:
        for _ in range(20):
            reads = store.reads
            worker.look_at("models", "iris")
            await _until(lambda before=reads: store.reads > before)
        assert not store.objects
        store.away = False
        await _until(lambda: len(store.objects) == 3)

    _run(store, scenario, look=0.2)


def test_events_of_a_moment_are_one_look_and_one_that_is_gone_is_no_error() -> None:
    store = Surroundings(prepackaged())

    async def scenario(worker: Worker) -> None:
        await _until(lambda: len(store.objects) == 3)
        before = store.reads
        for _ in range(50):
            worker.look_at("models", "iris")
            worker.look_at("models", "gone")
        await _until(lambda: store.reads > before)
        await asyncio.sleep(0.05)
        assert store.reads <= before + 4

    _run(store, scenario, look=60)
