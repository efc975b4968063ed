"""What the user sees of the plugin's work: messages and statuses in the engine's display."""

from typing import Any, Final, Protocol

import grpc

from mlops_kubernetes.redaction import Redaction
from mlops_language_host.stubs import register_parent_packages

register_parent_packages()

from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc  # noqa: E402

# A Secret of many keys can exceed gRPC's default of 4 MiB; this is the engine's own limit.
_MESSAGE_BYTES: Final = 400 * 1024 * 1024
CHANNEL_OPTIONS: Final = [
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
]


class Log(Protocol):
    """Messages about one resource."""

    async def status(self, text: str) -> None:
        """Show what is being waited for, until the next status; empty to show nothing."""

    async def info(self, text: str) -> None:
        """Print a message."""

    async def warning(self, text: str) -> None:
        """Print a warning."""

    def clean(self, text: str) -> str:
        """Return a text without the resource's secrets, before it is cut."""


class Engine:
    """The engine that started the plugin; silent when there is none."""

    def __init__(self, address: str) -> None:
        self._stub: Any = None
        if address:
            channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
            self._stub = engine_pb2_grpc.EngineStub(channel)

    async def log(self, severity: Any, urn: str, text: str, *, ephemeral: bool = False) -> None:
        """Send one message; a vanished engine is no reason to fail an operation."""
        if self._stub is None:
            return
        request = engine_pb2.LogRequest(
            severity=severity, message=text, urn=urn, ephemeral=ephemeral
        )
        try:
            await self._stub.Log(request)
        except grpc.aio.AioRpcError:
            self._stub = None


class ResourceLog:
    """Messages about one resource, with its secrets taken out and repeats left out."""

    def __init__(self, engine: Engine, urn: str, redaction: Redaction | None = None) -> None:
        self._engine = engine
        self._urn = urn
        self._redaction = redaction or Redaction()
        self._status = ""

    async def status(self, text: str) -> None:
        """Show what is being waited for."""
        if text != self._status:
            self._status = text
            clean = self.clean(text)
            await self._engine.log(engine_pb2.INFO, self._urn, clean, ephemeral=True)

    async def info(self, text: str) -> None:
        """Print a message."""
        await self._engine.log(engine_pb2.INFO, self._urn, self.clean(text))

    async def warning(self, text: str) -> None:
        """Print a warning."""
        await self._engine.log(engine_pb2.WARNING, self._urn, self.clean(text))

    def clean(self, text: str) -> str:
        """Return a text without the resource's secrets."""
        return self._redaction.clean(text)
