"""The plugin process: serves the provider on loopback until the engine ends it or is gone."""

import asyncio
import signal
import sys
from typing import Any, Final, Protocol

import grpc

from mlops_kubernetes.engine import CHANNEL_OPTIONS
from mlops_language_host.engine_watch import engine_gone

from pulumi.runtime.proto import provider_pb2_grpc  # isort: skip - needs engine's registration

_GRACE_SECONDS: Final = 1.0


class Served(Protocol):
    """A provider that can be wound down."""

    def cancel(self) -> None:
        """End waiting operations."""

    async def close(self) -> None:
        """Close the connections."""


async def serve(provider: Served, engine_address: str) -> None:
    """Serve a provider and print its port, as the engine expects of a plugin.

    Args:
        provider: the servicer of the protocol.
        engine_address: `host:port` of the engine; empty when the plugin is run by hand.
    """
    server = grpc.aio.server(options=CHANNEL_OPTIONS)
    servicer: Any = provider
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # The engine ends its plugins by an interrupt and kills those that linger. A terminal's Ctrl-C
    # does not come here: plugins have process groups of their own, and a call to wind down.
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    watch = asyncio.create_task(engine_gone(lambda: engine_address))
    watch.add_done_callback(lambda _: stop.set())
    await stop.wait()
    watch.cancel()
    provider.cancel()
    await server.stop(_GRACE_SECONDS)
    await provider.close()
