"""What an awaiter says of an object, and what it may look at besides."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether an object is ready.

    Attributes:
        ready: it is.
        failed: it is not, and never will be.
        message: what is missing, for the user.
        warning: what the user may have to do about it; empty where it comes by itself.
        warn_after: how many seconds to wait before the warning; zero where it is certain.
    """

    ready: bool = False
    failed: bool = False
    message: str = ""
    warning: str = ""
    warn_after: float = 0.0


READY = Verdict(ready=True)


def waiting(message: str, *, warning: str = "", warn_after: float = 0.0) -> Verdict:
    """Return the verdict that an object is not ready yet."""
    return Verdict(message=message, warning=warning, warn_after=warn_after)


def failed(message: str) -> Verdict:
    """Return the verdict that an object will not become ready."""
    return Verdict(failed=True, message=message)


UNCERTAIN_SECONDS: Final = 15.0
"""After this long without a word from a controller, the user hears that it may be missing."""


class Look(Protocol):
    """Reads other objects of the cluster, and knows what was before the wait."""

    @property
    def before(self) -> dict[str, Any]:
        """The judged object as the operation left it; empty where there was no operation."""

    @property
    def seconds(self) -> float:
        """How long the object has been waited for; endless where nobody waits."""

    async def get(self, path: str) -> dict[str, Any] | None:
        """Return an object, None where it does not exist."""

    async def list(self, path: str, *, labels: str = "") -> list[dict[str, Any]]:
        """Return the objects of a collection."""


Judge = Callable[[dict[str, Any], Look], Awaitable[Verdict]]
"""Judges an object; asked again whenever the object changes, and at least every two seconds."""


def spec(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object's spec, empty where it has none."""
    return value.get("spec") or {}


def status(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object's status, empty where it has none."""
    return value.get("status") or {}


def condition(value: dict[str, Any], name: str) -> dict[str, Any]:
    """Return one of an object's status conditions, empty where it is absent."""
    for found in status(value).get("conditions") or []:
        if str(found.get("type", "")).lower() == name.lower():
            return dict(found)
    return {}


def is_old(value: dict[str, Any], look: Look, name: str) -> bool:
    """Tell whether a condition is as it was before the wait, so that it says nothing of now."""
    before = condition(look.before, name)
    return bool(before) and before == condition(value, name)


def is_true(value: dict[str, Any], name: str) -> bool:
    """Tell whether a status condition is true."""
    return condition(value, name).get("status") == "True"


def observed(value: dict[str, Any]) -> bool:
    """Tell whether the object's controller has seen its current spec."""
    generation = value.get("metadata", {}).get("generation", 0)
    return bool(status(value).get("observedGeneration", 0) >= generation)
