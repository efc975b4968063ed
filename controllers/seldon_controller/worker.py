"""When a SeldonDeployment is looked at: soon after each event, and all of them again and again.

Events alone are not enough: one is lost while the API server or DNS is away, and a write that
failed has none. So nothing counts its attempts: what failed is tried again at the next look.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, TypeVar

from seldon_controller import reconcile
from seldon_controller.objects import Images

_LOOK_SECONDS: Final = 10.0
# A rollout is many events at once; they are one look.
_GATHER_SECONDS: Final = 0.3
_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class Cluster(reconcile.Cluster, Protocol):
    """The part of the Kubernetes API that is needed; see `cluster.Cluster`."""

    def names(self) -> list[tuple[str, str]]:
        """Return namespace and name of each SeldonDeployment."""


class Worker:
    """Looks at one SeldonDeployment at a time, so that no older state is applied over a newer one.

    Args:
        cluster: the cluster.
        images: what Pods are made of.
        look: seconds between two looks at everything.
        gather: seconds that events are gathered for.
    """

    def __init__(
        self,
        cluster: Cluster,
        images: Images,
        *,
        look: float = _LOOK_SECONDS,
        gather: float = _GATHER_SECONDS,
    ) -> None:
        self._cluster, self._images = cluster, images
        self._look, self._gather = look, gather
        self._noted: set[tuple[str, str]] = set()
        self._event = asyncio.Event()

    def look_at(self, namespace: str, name: str) -> None:
        """Look at a SeldonDeployment soon."""
        self._noted.add((namespace, name))
        self._event.set()

    async def run(self) -> None:
        """Look at what is noted, and at everything at times, until cancelled."""
        loop = asyncio.get_running_loop()
        next_look = loop.time()
        while True:
            if loop.time() >= next_look:
                next_look = loop.time() + self._look
                self._noted.update(await self._try("the list", self._cluster.names) or ())
            noted, self._noted = self._noted, set()
            self._event.clear()
            for namespace, name in sorted(noted):
                await self._try(f"{namespace}/{name}", partial(self._one, namespace, name))
            try:
                await asyncio.wait_for(self._event.wait(), max(0.0, next_look - loop.time()))
            except TimeoutError:
                continue
            await asyncio.sleep(self._gather)

    def _one(self, namespace: str, name: str) -> None:
        body = self._cluster.read(namespace, name)
        if body is not None:
            reconcile.reconcile(self._cluster, body, self._images)

    async def _try(self, what: str, act: Callable[[], _Result]) -> _Result | None:
        try:
            return await asyncio.to_thread(act)
        except Exception:
            # Whatever it is, the others are looked at, and this one again.
            _log.exception("%s: not looked at; the next time is in %.0f s", what, self._look)
            return None
