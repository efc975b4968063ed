"""Following one object until something can be said of it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from mlops_kubernetes.awaiting.verdict import Judge, Look, Verdict
from mlops_kubernetes.cancellation import ended
from mlops_kubernetes.client import ApiError, Client, UnreachableError
from mlops_kubernetes.diagnostics import pod_troubles
from mlops_kubernetes.discovery import Location
from mlops_kubernetes.engine import Log

# What an object's readiness depends on besides itself is looked at this often.
_TICK_SECONDS: Final = 1.0
_TROUBLE_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 1.0


class NotReadyError(Exception):
    """An object did not become ready.

    Attributes:
        live: the object as it was seen last, None if it is gone.
    """

    def __init__(self, message: str, live: dict[str, Any] | None) -> None:
        super().__init__(message)
        self.live = live


class ClusterLook(Look):
    """Reads other objects through the client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def get(self, path: str) -> dict[str, Any] | None:
        """Return an object, None where it does not exist."""
        return await self._client.get_or_none(path)

    async def list(self, path: str, *, labels: str = "") -> list[dict[str, Any]]:
        """Return the objects of a collection."""
        query = {"labelSelector": labels} if labels else {}
        return list((await self._client.get(path, **query)).get("items") or [])


class Follower:
    """Keeps the latest version of one object, by watching it in the background."""

    def __init__(self, client: Client, location: Location) -> None:
        self._client = client
        self._location = location
        self._changed = asyncio.Event()
        self.live: dict[str, Any] | None = None

    async def changed(self, seconds: float) -> None:
        """Return when the object has changed, or after some seconds."""
        # Not wait_for, which before Python 3.12 loses a cancellation that comes with the change.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()

    def saw(self, live: dict[str, Any] | None) -> None:
        """Take over a version of the object, None where it is gone."""
        self.live = live
        self._changed.set()

    async def load(self) -> None:
        """Read the object once."""
        self.live = await self._client.get_or_none(self._location.path)

    async def watch(self) -> None:
        """Follow the object until cancelled; broken streams are begun anew."""
        while True:
            try:
                version = (self.live or {}).get("metadata", {}).get("resourceVersion", "")
                query = {"fieldSelector": f"metadata.name={self._location.name}"}
                if version:
                    query["resourceVersion"] = version
                async for event, value in self._client.watch(self._location.collection, **query):
                    self.saw(None if event == "DELETED" else value)
            except (ApiError, UnreachableError):
                await asyncio.sleep(_RETRY_SECONDS)
            with contextlib.suppress(ApiError, UnreachableError):
                await self.load()
                self._changed.set()


@contextlib.asynccontextmanager
async def following(client: Client, location: Location) -> AsyncIterator[Follower]:
    """Follow an object for the time of a context."""
    follower = Follower(client, location)
    while True:
        try:
            await follower.load()
            break
        except UnreachableError:
            await asyncio.sleep(_RETRY_SECONDS)
    task = asyncio.create_task(follower.watch())
    try:
        yield follower
    finally:
        await ended(task)


async def until_ready(
    client: Client, location: Location, judge: Judge, log: Log, seen: dict[str, Any]
) -> dict[str, Any]:
    """Wait without limit until an object is ready, and return it.

    Args:
        client: of the cluster.
        location: of the object.
        judge: tells when it is ready.
        log: where to show what is missing.
        seen: receives the latest verdict (`verdict`) and object (`live`), for a caller whose
            patience ends.

    Raises:
        NotReadyError: the object is gone or has failed.
    """
    look = ClusterLook(client)
    told = 0.0
    trouble = ""
    async with following(client, location) as follower:
        while True:
            live = follower.live
            if live is None:
                raise NotReadyError("the object was deleted while it was waited for", None)
            seen["live"] = live
            try:
                verdict = await judge(live, look)
            except (ApiError, UnreachableError) as error:
                verdict = Verdict(message=str(error))
            seen["verdict"] = verdict
            if verdict.ready:
                await log.status("")
                return live
            if verdict.failed:
                raise NotReadyError(verdict.message, live)
            if time.monotonic() - told > _TROUBLE_SECONDS:
                told = time.monotonic()
                trouble = await pod_troubles(client, live)
            await log.status("; ".join(filter(None, (verdict.message, trouble))))
            await follower.changed(_TICK_SECONDS)


async def until_gone(
    client: Client, location: Location, log: Log, seen: dict[str, Any], *, uid: str
) -> None:
    """Wait without limit until an object, or the one with that uid, does not exist.

    Args:
        client: of the cluster.
        location: of the object.
        log: where to show what holds it.
        seen: receives the latest object (`live`).
        uid: of the object that is to go; another object of its name is none of ours.
    """
    async with following(client, location) as follower:
        while (live := follower.live) is not None and live["metadata"].get("uid") == uid:
            seen["live"] = live
            await log.status(f"waiting until it is deleted{held_by(live)}")
            await follower.changed(_TICK_SECONDS)
    await log.status("")


def held_by(live: dict[str, Any]) -> str:
    """Return what keeps an object from going, for the end of a sentence."""
    finalizers = live.get("metadata", {}).get("finalizers") or []
    finalizers += (live.get("spec") or {}).get("finalizers") or []
    reasons = [
        str(condition.get("message"))
        for condition in (live.get("status") or {}).get("conditions") or []
        if condition.get("status") == "True" and condition.get("type", "").startswith("Namespace")
    ]
    parts = [f"finalizers {', '.join(finalizers)}"] if finalizers else []
    return f": {'; '.join([*parts, *reasons])}" if parts or reasons else ""
