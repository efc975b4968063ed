"""Questions to a cluster from code that knows its kubeconfig and has no client yet."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from mlops_kubernetes.client import Client

_REQUEST_SECONDS: Final = 10.0

_T = TypeVar("_T")


def ask(kubeconfig: str, context: str, work: Callable[["Client"], Awaitable[_T]]) -> _T:
    """Return what some work on a cluster returns.

    Args:
        kubeconfig: text of a kubeconfig.
        context: context in it, or empty for its current one.
        work: gets a client, which is closed afterwards.

    Raises:
        ApiError: the API server refuses.
        KubeconfigError: the kubeconfig cannot be used.
        UnreachableError: there is no API server.
    """
    # The plugin's client knows every form of kubeconfig; its httpx takes a moment to import.
    from mlops_kubernetes import kubeconfig as kubeconfigs  # noqa: PLC0415
    from mlops_kubernetes.client import Client  # noqa: PLC0415

    async def run() -> _T:
        access = kubeconfigs.load(kubeconfig, context=context)
        client = Client(access, request_seconds=_REQUEST_SECONDS)
        try:
            return await work(client)
        finally:
            await client.close()

    # A Pulumi program has a running event loop already.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(run())).result()
