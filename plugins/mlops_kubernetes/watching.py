"""Following one object until something can be said of it."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from mlops_kubernetes.awaiting.verdict import Judge, Look, Verdict, failed, waiting
from mlops_kubernetes.cancellation import ended
from mlops_kubernetes.client import ApiError, Client, UnreachableError
from mlops_kubernetes.diagnostics import pod_troubles
from mlops_kubernetes.discovery import Discovery, Location, UnservedObjectsError
from mlops_kubernetes.engine import Log

# What an object's readiness depends on besides itself is looked at this often.
_TICK_SECONDS: Final = 1.0
_TROUBLE_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 1.0
# An object that the cluster refuses to show is given up after this long.
_SILENCE_SECONDS: Final = 60.0


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

    def __init__(self, client: Client, *, before: dict[str, Any] | None = None) -> None:
        self._client = client
        self._before = before
        self._began = time.monotonic()

    @property
    def before(self) -> dict[str, Any]:
        """The judged object as the operation left it; empty where there was no operation."""
        return self._before or {}

    @property
    def seconds(self) -> float:
        """How long the object has been waited for; endless where nobody waits."""
        return math.inf if self._before is None else time.monotonic() - self._began

    async def get(self, path: str) -> dict[str, Any] | None:
        """Return an object, None where it does not exist."""
        return await self._client.get_or_none(path)

    async def list(self, path: str, *, labels: str = "") -> list[dict[str, Any]]:
        """Return the objects of a collection."""
        query = {"labelSelector": labels} if labels else {}
        return list((await self._client.get(path, **query)).get("items") or [])


class Follower:
    """Keeps the latest version of one object, by watching it in the background.

    Attributes:
        live: the object as it was seen last, None where the API server says that it is gone.
        failure: why the object cannot be read now, None while it can.
    """

    def __init__(self, discovery: Discovery, location: Location) -> None:
        self._discovery = discovery
        self._location = location
        self._changed = asyncio.Event()
        self._answered = time.monotonic()
        self.live: dict[str, Any] | None = None
        self.failure: Exception | None = None

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
        self._answered = time.monotonic()
        self.failure = None
        self._changed.set()

    @property
    def is_refused(self) -> bool:
        """Whether the object cannot be read for so long that waiting makes no sense.

        An API server that is away may come back; one that refuses will go on refusing.
        """
        away = type(self.failure) is UnreachableError
        return not away and time.monotonic() - self._answered > _SILENCE_SECONDS

    async def load(self) -> None:
        """Read the object once; a failure leaves what was known of it."""
        try:
            self.live = await self._discovery.live(self._location)
        except (ApiError, UnreachableError, UnservedObjectsError) as error:
            self.failure = error
        else:
            self.failure = None
            self._answered = time.monotonic()

    async def watch(self) -> None:
        """Follow the object until cancelled; broken streams are begun anew."""
        while True:
            began = time.monotonic()
            collection = self._location.collection
            try:
                version = (self.live or {}).get("metadata", {}).get("resourceVersion", "")
                query = {"fieldSelector": f"metadata.name={self._location.name}"}
                if version:
                    query["resourceVersion"] = version
                async for event, value in self._discovery.client.watch(collection, **query):
                    self.saw(None if event == "DELETED" else value)
            except (ApiError, UnreachableError):
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                # A proxy or an overloaded server may end each stream at once.
                await asyncio.sleep(max(0.0, _RETRY_SECONDS - (time.monotonic() - began)))
            await self.load()
            self._changed.set()


@contextlib.asynccontextmanager
async def following(
    discovery: Discovery, location: Location, live: dict[str, Any]
) -> AsyncIterator[Follower]:
    """Follow an object for the time of a context, from how it was seen last."""
    follower = Follower(discovery, location)
    follower.live = live
    await follower.load()
    task = asyncio.create_task(follower.watch())
    try:
        yield follower
    finally:
        await ended(task)


async def until_ready(
    discovery: Discovery,
    location: Location,
    judge: Judge,
    log: Log,
    seen: dict[str, Any],
) -> dict[str, Any]:
    """Wait without limit until an object is ready, and return it.

    Args:
        discovery: of the cluster.
        location: of the object.
        judge: tells when it is ready.
        log: where to show what is missing.
        seen: holds the object as the operation left it (`live`), and receives the latest verdict
            (`verdict`) and object, for a caller whose patience ends.

    Raises:
        NotReadyError: the object is gone or has failed, or the cluster does not let it be read.
    """
    look = ClusterLook(discovery.client, before=seen["live"])
    told = 0.0
    trouble = ""
    warned: set[str] = set()
    async with following(discovery, location, seen["live"]) as follower:
        while True:
            live = follower.live
            if live is None:
                raise NotReadyError("the object was deleted while it was waited for", None)
            seen["live"] = live
            verdict = await _judged(judge, live, look, follower)
            seen["verdict"] = verdict
            if verdict.ready:
                await log.status("")
                return live
            if verdict.failed:
                raise NotReadyError(verdict.message, live)
            if verdict.warning and look.seconds >= verdict.warn_after:
                if verdict.warning not in warned:
                    await log.warning(f"{verdict.message}: {verdict.warning}")
                warned.add(verdict.warning)
            if time.monotonic() - told > _TROUBLE_SECONDS:
                told = time.monotonic()
                trouble = await pod_troubles(discovery.client, live)
            await log.status("; ".join(filter(None, (verdict.message, trouble))))
            await follower.changed(_TICK_SECONDS)


async def _judged(
    judge: Judge, live: dict[str, Any], look: ClusterLook, follower: Follower
) -> Verdict:
    if follower.failure is not None:
        text = f"it cannot be read: {follower.failure}"
        return failed(text) if follower.is_refused else waiting(text)
    try:
        return await judge(live, look)
    except (ApiError, UnreachableError) as error:
        return waiting(str(error))


async def until_gone(
    discovery: Discovery,
    location: Location,
    log: Log,
    seen: dict[str, Any],
) -> None:
    """Wait without limit until an object does not exist; another one of its name is not it.

    Args:
        discovery: of the cluster.
        location: of the object.
        log: where to show what holds it.
        seen: holds the object as it is known (`live`), and receives the latest one.

    Raises:
        ApiError: the cluster refuses to tell of the object.
        NotKubernetesError: something else answers for the API server.
        UnservedObjectsError: the object's kind is no longer served.
    """
    uid = seen["live"]["metadata"].get("uid")
    async with following(discovery, location, seen["live"]) as follower:
        while (live := follower.live) is not None and live["metadata"].get("uid") == uid:
            seen["live"] = live
            if follower.failure is not None and follower.is_refused:
                raise follower.failure
            unread = f", which cannot be read: {follower.failure}" if follower.failure else ""
            await log.status(f"waiting until it is deleted{unread or held_by(live)}")
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
