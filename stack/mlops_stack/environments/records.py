"""The environments that the backend knows, read from the tags of its stacks."""

import dataclasses
import math
import socket
import time
from collections.abc import Mapping

from mlops_stack.environments import clock
from mlops_stack.pulumi_cli import TEMPLATE_TAG, PulumiError, Stack

# Two machines' clocks differ by less.
_CLOCKS_DIFFER_SECONDS = 300
_PREFIX = TEMPLATE_TAG.partition(":")[0] + ":"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environment:
    """One environment as its tags describe it; times are seconds since the epoch.

    Attributes:
        name: the stack's name.
        provider: who runs its cluster.
        template: the stack whose file configures it.
        host: the machine that made it.
        keep: what is exported before it is destroyed; empty for what the template says.
        state: creating, up, failed or reaping.
        created: when it was made; None where the tag cannot be read.
        expires: when it may be destroyed; None where the tag cannot be read.
        unreadable: the tags that cannot be read, as `name='value'`.
    """

    name: str
    provider: str
    template: str
    host: str
    keep: str
    state: str
    created: float | None
    expires: float | None
    unreadable: tuple[str, ...] = ()

    @property
    def here(self) -> bool:
        """Return whether this machine can destroy it: an embedded cluster lives on one machine."""
        return self.provider != "embedded" or self.host == socket.gethostname()

    @property
    def expired(self) -> bool:
        """Return whether its time is over; one whose expiry cannot be read never is."""
        return self.expires is not None and self.expires <= time.time() and not self.clock_problem

    @property
    def clock_problem(self) -> str | None:
        """Return why this machine's clock cannot be believed about the environment.

        A clock that jumps at boot must not destroy what lives. One that is behind the creation is
        wrong; one that is far past the end is believed when something keeps it right.
        """
        if self.created is None or self.expires is None or self.expires <= self.created:
            return None  # somebody has set the end by hand
        now, lifetime = time.time(), self.expires - self.created
        if now < self.created - _CLOCKS_DIFFER_SECONDS:
            why = "before it was made"
        elif now > self.expires + max(lifetime, _CLOCKS_DIFFER_SECONDS) and not clock.is_kept():
            why = "long after its end, and nothing keeps the clock right"
        else:
            return None
        return (
            f"{self.name}: by this machine's clock it is {why}, so it is not reaped; set the clock "
            f"right, or `make down STACK={self.name}`"
        )

    @property
    def problem(self) -> str | None:
        """Return what is wrong with its tags or with the clock, and the remedy."""
        if not self.unreadable:
            return self.clock_problem
        return (
            f"{self.name}: tag {' and '.join(self.unreadable)} is no time in seconds since the "
            "epoch, so it is not reaped; set the time with `. ./env.sh; pulumi stack tag set "
            f"{_PREFIX}expires $(date -d +4hours +%s) --stack {self.name}`, or `make down "
            f"STACK={self.name}`"
        )


def write(stack: Stack, **values: str) -> None:
    """Set tags of an environment, in the order given.

    Raises:
        PulumiError: the backend refused one.
    """
    for key, value in values.items():
        stack.set_tag(_PREFIX + key, value)


def read(name: str) -> Environment | None:
    """Return an environment; None for a stack that is none, or that does not exist.

    Raises:
        PulumiError: the backend does not answer.
    """
    try:
        tags = Stack(name).tags()
    except PulumiError:
        if Stack(name).exists():
            raise
        return None  # another reaper has just finished with it
    return _parsed(name, tags)


def found() -> list[Environment]:
    """Return the environments that the backend knows: first those whose tags need somebody, then
    by the time that each has left.

    Raises:
        PulumiError: the backend does not answer.
    """
    known = [environment for name in Stack.names() if (environment := read(name))]
    return sorted(known, key=lambda e: (e.expires is not None, e.expires or 0, e.name))


def _parsed(name: str, tags: Mapping[str, str]) -> Environment | None:
    ours = {key.removeprefix(_PREFIX): value for key, value in tags.items()}
    if f"{_PREFIX}expires" not in tags:
        return None
    times = {key: _seconds(ours[key]) for key in ("expires", "created") if key in ours}
    return Environment(
        name=name,
        provider=ours.get("provider", "embedded"),
        template=ours.get("template", "dev"),
        host=ours.get("host", ""),
        keep=ours.get("keep", ""),
        state=ours.get("state", "failed"),
        created=times.get("created"),
        expires=times["expires"],
        unreadable=tuple(f"{key}={ours[key]!r}" for key, at in times.items() if at is None),
    )


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None
