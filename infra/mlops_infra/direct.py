"""How this machine reaches what the stack itself runs: without a proxy, whatever the shell says.

A company's proxy has no way to a cluster's addresses, and the usual `NO_PROXY` does not help:
httpx and botocore know names and addresses there, but no networks.
"""

import ipaddress
import urllib.parse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx


def client(*, retries: int = 0, **options: Any) -> "httpx.Client":
    """Return an HTTP client that takes nothing from the environment: no proxy, no certificates.

    Args:
        retries: how often a refused connection is tried again.
        options: what `httpx.Client` takes.
    """
    import httpx  # noqa: PLC0415 - a preview would pay for it

    transport = httpx.HTTPTransport(retries=retries, trust_env=False)
    return httpx.Client(trust_env=False, transport=transport, **options)


def is_private(url: str) -> bool:
    """Return whether a URL names this machine or an address of a private network.

    A host's name says nothing of where it is: it counts as public.
    """
    host = urllib.parse.urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False
