"""The services of a stack that its users reach."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A service of a stack that its users reach.

    Attributes:
        name: what it is called in summaries.
        url: its address on this machine; empty where it is not there.
        health: what to ask it for, below its address, to see that it does real work; empty where
            a request without credentials tells nothing.
        body: JSON to post there as the service's own page does; None for a plain GET.
        sign_in: the output that holds the address with what signs in, a secret; empty for none.
        absent: what a summary says where it is not there; empty for nothing.
    """

    name: str
    url: str
    health: str = ""
    body: dict[str, Any] | None = None
    sign_in: str = ""
    absent: str = ""
