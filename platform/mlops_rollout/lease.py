"""One rollout at a time, wherever it runs: a Lease that its holder renews."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from mlops_rollout.errors import ServingError
from mlops_rollout.kubectl import Kubectl

NAME: Final = "serving-rollout"
# A holder that renews no more is dead; a machine that is busy renews late.
_DURATION_SECONDS: Final = 60
_RENEW_SECONDS: Final = 15
# A rollout waits five minutes for a version, and for the gateway.
_WAIT_SECONDS: Final = 900
_CHANGED = ("Conflict", "AlreadyExists", "the object has been modified")


class Lease:
    """What a rollout holds.

    Args:
        kubectl: writes the gateway's namespace.
    """

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        where = f"process {os.getpid()} on {socket.gethostname()}"
        self.holder = f"{where} ({uuid.uuid4().hex[:8]})"
        self.lost = ""

    def check(self) -> None:
        """Return if it is still held.

        Raises:
            ServingError: another rollout has taken it.
        """
        if self.lost:
            raise ServingError(
                f"{self.lost} took over this rollout, which had not been heard of for "
                f"{_DURATION_SECONDS} s; look at `make status`, and try again"
            )

    def take(self, found: dict[str, Any] | None) -> bool:
        """Write this holder's name, unless somebody else has written since; return whether."""
        metadata: dict[str, Any] = {"name": NAME}
        if found:
            metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
        return self._write(metadata, self.holder)

    def renew(self) -> None:
        """Say that the holder lives."""
        found = read(self._kubectl)
        holder = _holder(found)
        if holder != self.holder or not found or not self.take(found):
            self.lost = holder or "another rollout"

    def release(self) -> None:
        """Let the next one begin at once."""
        found = read(self._kubectl)
        if found and _holder(found) == self.holder:
            version = found["metadata"]["resourceVersion"]
            self._write({"name": NAME, "resourceVersion": version}, "")

    def _write(self, metadata: dict[str, Any], holder: str) -> bool:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": _DURATION_SECONDS,
                "renewTime": now,
            },
        }
        try:
            self._kubectl.write("replace" if "resourceVersion" in metadata else "create", body)
        except ServingError as error:
            if any(word in str(error) for word in _CHANGED):
                return False
            raise
        return True


@contextmanager
def held(
    kubectl: Kubectl,
    *,
    say: Callable[[str], None],
    pause: Callable[[float], None] | None = None,
    clock: Callable[[], float] | None = None,
) -> Iterator[Lease]:
    """Hold the Lease of rollouts while the block runs.

    Args:
        kubectl: writes the gateway's namespace.
        say: told whom it waits for.
        pause: waits for some seconds.
        clock: seconds since any moment.

    Raises:
        ServingError: another rollout does not end, or the API does not answer.
    """
    lease = Lease(kubectl)
    _acquire(lease, kubectl, say=say, pause=pause or time.sleep, clock=clock or time.monotonic)
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(_RENEW_SECONDS) and not lease.lost:
            try:
                lease.renew()
            except ServingError as error:
                # It lasts for some more attempts.
                say(f"the rollout's lease could not be renewed: {error}")

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        ended.set()
        thread.join()
        try:
            lease.release()
        except ServingError as error:
            say(f"the next rollout waits {_DURATION_SECONDS} s, for this one's end: {error}")


def read(kubectl: Kubectl) -> dict[str, Any] | None:
    """Return the Lease, or None before the first rollout.

    Raises:
        ServingError: the API does not give it.
    """
    found = kubectl.get(f"lease/{NAME}")
    return found[0] if found else None


def _holder(found: dict[str, Any] | None) -> str:
    return str((found or {}).get("spec", {}).get("holderIdentity") or "")


def _acquire(
    lease: Lease,
    kubectl: Kubectl,
    *,
    say: Callable[[str], None],
    pause: Callable[[float], None],
    clock: Callable[[], float],
) -> None:
    end = clock() + _WAIT_SECONDS
    seen, since = "", clock()
    while True:
        found = read(kubectl)
        holder = _holder(found)
        # Clocks of two machines may differ: what counts is that nobody renews it while we look.
        version = found["metadata"]["resourceVersion"] if found else ""
        if version != seen:
            if holder and not seen:
                say(f"waits for another rollout: {holder}")
            seen, since = version, clock()
        free = not holder or clock() - since > _DURATION_SECONDS
        if free and lease.take(found):
            return
        if clock() > end:
            raise ServingError(
                f"another rollout, {holder}, has not ended after {_WAIT_SECONDS} s; "
                "try again when it has"
            )
        pause(1)
