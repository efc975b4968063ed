"""Drives a resource plugin as the engine does: a process, its gRPC services, and a stack's memory.

Nothing here knows which plugin it drives; the values module is only used for the wire format.
"""

import secrets
import subprocess
import time
from collections.abc import Sequence
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pulumi  # noqa: F401 - the real package, before anything registers its bare stubs
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    engine_pb2_grpc,
    provider_pb2,
    provider_pb2_grpc,
    resource_pb2,
    resource_pb2_grpc,
    status_pb2,
)

from mlops_kubernetes.paths import PropertyPath
from mlops_kubernetes.values import Properties, decode, encode

URN = "urn:pulumi:conformance::suite::{token}::{name}"


class CheckFailedError(Exception):
    """The plugin refused inputs; `failures` maps properties to reasons."""

    def __init__(self, failures: dict[str, str]) -> None:
        super().__init__("; ".join(failures.values()))
        self.failures = failures


class OperationFailedError(Exception):
    """The plugin refused an operation, and there is nothing to keep."""


class InitializationFailedError(Exception):
    """The object exists but is not ready; the engine keeps it."""

    def __init__(self, identity: str, state: Properties, reasons: list[str]) -> None:
        super().__init__("\n".join(reasons))
        self.identity = identity
        self.state = state
        self.reasons = reasons


class RecordingEngine(engine_pb2_grpc.EngineServicer):
    """The engine's side of the log."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def Log(self, request: Any, _: Any) -> Any:  # noqa: N802
        self.messages.append(request)
        return empty_pb2.Empty()

    @property
    def text(self) -> str:
        return "\n".join(message.message for message in self.messages)

    @property
    def statuses(self) -> list[str]:
        return [message.message for message in self.messages if message.ephemeral]


class RecordingMonitor(resource_pb2_grpc.ResourceMonitorServicer):
    """The engine's side of a component: records what is registered, and makes nothing."""

    def __init__(self) -> None:
        self.registered: list[Any] = []
        self.outputs: list[Any] = []

    def RegisterResource(self, request: Any, _: Any) -> Any:  # noqa: N802
        self.registered.append(request)
        urn = URN.format(token=request.type, name=request.name)
        return resource_pb2.RegisterResourceResponse(
            urn=urn, id=request.name, object=request.object
        )

    def RegisterResourceOutputs(self, request: Any, _: Any) -> Any:  # noqa: N802
        self.outputs.append(request)
        return empty_pb2.Empty()

    def SupportsFeature(self, *_: Any) -> Any:  # noqa: N802
        return resource_pb2.SupportsFeatureResponse(hasSupport=True)

    def children(self) -> dict[str, Any]:
        return {r.name: r for r in self.registered if r.custom}


def serve(*, engine: RecordingEngine | None = None, monitor: RecordingMonitor | None = None) -> Any:
    """Return a running gRPC server and its address."""
    server = grpc.server(futures.ThreadPoolExecutor(8))
    if engine is not None:
        engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    if monitor is not None:
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(monitor, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"


class Plugin:
    """A running plugin process, configured as one provider."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.engine = RecordingEngine()
        self._server, address = serve(engine=self.engine)
        self.process = subprocess.Popen(
            [*command, address], stdout=subprocess.PIPE, cwd=folder, text=True
        )
        assert self.process.stdout is not None
        port = self.process.stdout.readline().strip()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub: Any = provider_pb2_grpc.ResourceProviderStub(self._channel)

    def stop(self) -> None:
        self._channel.close()
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._server.stop(None)

    def check_config(self, **arguments: Any) -> dict[str, str]:
        request = provider_pb2.CheckRequest(
            urn=URN.format(token="pulumi:providers:kubernetes", name="k8s"), news=encode(arguments)
        )
        answer = self.stub.CheckConfig(request)
        return {failure.property: failure.reason for failure in answer.failures}

    def diff_config(self, olds: dict[str, Any], news: dict[str, Any]) -> Any:
        request = provider_pb2.DiffRequest(
            urn=URN.format(token="pulumi:providers:kubernetes", name="k8s"),
            olds=encode(olds),
            old_inputs=encode(olds),
            news=encode(news),
        )
        return self.stub.DiffConfig(request)

    def configure(self, **arguments: Any) -> None:
        try:
            self.stub.Configure(
                provider_pb2.ConfigureRequest(
                    args=encode(arguments),
                    variables={
                        f"kubernetes:config:{k}": v
                        for k, v in arguments.items()
                        if isinstance(v, str)
                    },
                    acceptSecrets=True,
                    acceptResources=True,
                    sends_old_inputs=True,
                    sends_old_inputs_to_delete=True,
                )
            )
        except grpc.RpcError as error:
            raise _failure(error) from error

    def construct(
        self, token: str, name: str, inputs: dict[str, Any], secrets: Sequence[PropertyPath] = ()
    ) -> tuple[RecordingMonitor, Properties]:
        monitor = RecordingMonitor()
        server, address = serve(monitor=monitor)
        try:
            answer = self.stub.Construct(
                provider_pb2.ConstructRequest(
                    project="suite",
                    stack="conformance",
                    type=token,
                    name=name,
                    inputs=encode(inputs, secrets),
                    monitorEndpoint=address,
                    parallel=4,
                )
            )
        except grpc.RpcError as error:
            raise _failure(error) from error
        finally:
            server.stop(None)
        return monitor, decode(answer.state)

    def invoke(self, token: str, arguments: dict[str, Any]) -> Properties:
        try:
            request = provider_pb2.InvokeRequest(tok=token, args=encode(arguments))
            return decode(getattr(self.stub.Invoke(request), "return"))
        except grpc.RpcError as error:
            raise _failure(error) from error


@dataclass(kw_only=True)
class Resource:
    """One resource of a stack, and what the stack remembers of it."""

    plugin: Plugin
    token: str
    name: str
    identity: str = ""
    inputs: Properties = field(default_factory=lambda: Properties(value={}))
    state: Properties = field(default_factory=lambda: Properties(value={}))

    @property
    def urn(self) -> str:
        return URN.format(token=self.token, name=self.name)

    @property
    def object_name(self) -> str:
        name = self.state.value["metadata"]["name"]
        assert isinstance(name, str)
        return name

    def check(
        self,
        inputs: dict[str, Any],
        *,
        secrets: Sequence[PropertyPath] = (),
        olds: Properties | None = None,
        autonaming: Any = None,
        seed: bytes | None = None,
    ) -> Properties:
        old = self.inputs if olds is None else olds
        request = provider_pb2.CheckRequest(
            urn=self.urn,
            type=self.token,
            name=self.name,
            news=encode(inputs, secrets),
            olds=encode(old.value, old.secrets),
            randomSeed=seed or secrets_bytes(),
        )
        if autonaming is not None:
            request.autonaming.CopyFrom(autonaming)
        try:
            answer = self.plugin.stub.Check(request)
        except grpc.RpcError as error:
            raise _failure(error) from error
        if answer.failures:
            raise CheckFailedError({f.property: f.reason for f in answer.failures})
        return decode(answer.inputs)

    def diff(self, checked: Properties) -> Any:
        return self.plugin.stub.Diff(
            provider_pb2.DiffRequest(
                id=self.identity,
                urn=self.urn,
                type=self.token,
                name=self.name,
                olds=encode(self.state.value, self.state.secrets),
                old_inputs=encode(self.inputs.value, self.inputs.secrets),
                news=encode(checked.value, checked.secrets),
            )
        )

    def diff_to(self, inputs: dict[str, Any]) -> Any:
        return self.diff(self.check(inputs))

    def preview_create(self, inputs: dict[str, Any]) -> Properties:
        checked = self.check(inputs)
        return self._create(checked, preview=True)[1]

    def create(
        self, inputs: dict[str, Any], *, secrets: Sequence[PropertyPath] = (), timeout: float = 0
    ) -> "Resource":
        checked = self.check(inputs, secrets=secrets)
        self.inputs = checked
        try:
            self.identity, self.state = self._create(checked, timeout=timeout)
        except InitializationFailedError as error:
            self.identity, self.state = error.identity, error.state
            raise
        return self

    def preview_update(self, inputs: dict[str, Any], *, ignore: Sequence[str] = ()) -> Properties:
        return self._update(self.check(inputs), preview=True, ignore=ignore)

    def update(
        self, inputs: dict[str, Any], *, ignore: Sequence[str] = (), timeout: float = 0
    ) -> "Resource":
        checked = self.check(inputs)
        try:
            self.state = self._update(checked, ignore=ignore, timeout=timeout)
        except InitializationFailedError as error:
            self.state, self.inputs = error.state, checked
            raise
        self.inputs = checked
        return self

    def refresh(self) -> "Resource":
        """Take over what the plugin reads; tests compare the inputs to see drift."""
        try:
            answer = self.plugin.stub.Read(
                provider_pb2.ReadRequest(
                    id=self.identity,
                    urn=self.urn,
                    type=self.token,
                    name=self.name,
                    properties=encode(self.state.value, self.state.secrets),
                    inputs=encode(self.inputs.value, self.inputs.secrets),
                )
            )
        except grpc.RpcError as error:
            raise _failure(error) from error
        self.identity = answer.id
        self.state, self.inputs = decode(answer.properties), decode(answer.inputs)
        return self

    def delete(self, *, timeout: float = 0) -> None:
        try:
            self.plugin.stub.Delete(
                provider_pb2.DeleteRequest(
                    id=self.identity,
                    urn=self.urn,
                    type=self.token,
                    name=self.name,
                    properties=encode(self.state.value, self.state.secrets),
                    old_inputs=encode(self.inputs.value, self.inputs.secrets),
                    timeout=timeout,
                )
            )
        except grpc.RpcError as error:
            raise _failure(error) from error

    def _create(
        self, checked: Properties, *, preview: bool = False, timeout: float = 0
    ) -> tuple[str, Properties]:
        try:
            answer = self.plugin.stub.Create(
                provider_pb2.CreateRequest(
                    urn=self.urn,
                    type=self.token,
                    name=self.name,
                    properties=encode(checked.value, checked.secrets),
                    preview=preview,
                    timeout=timeout,
                )
            )
        except grpc.RpcError as error:
            raise _failure(error) from error
        return answer.id, decode(answer.properties)

    def _update(
        self,
        checked: Properties,
        *,
        preview: bool = False,
        ignore: Sequence[str] = (),
        timeout: float = 0,
    ) -> Properties:
        try:
            answer = self.plugin.stub.Update(
                provider_pb2.UpdateRequest(
                    id=self.identity,
                    urn=self.urn,
                    type=self.token,
                    name=self.name,
                    olds=encode(self.state.value, self.state.secrets),
                    old_inputs=encode(self.inputs.value, self.inputs.secrets),
                    news=encode(checked.value, checked.secrets),
                    ignoreChanges=ignore,
                    preview=preview,
                    timeout=timeout,
                )
            )
        except grpc.RpcError as error:
            raise _failure(error) from error
        return decode(answer.properties)


def secrets_bytes() -> bytes:
    """Return a random seed, as the engine sends one with each check."""
    return secrets.token_bytes(32)


def eventually(condition: Any, *, seconds: float = 10, message: str = "") -> Any:
    """Return a condition's value as soon as it is true.

    Raises:
        AssertionError: it was not true in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(message or "the condition did not become true")


def _failure(error: Any) -> Exception:
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        status = status_pb2.Status.FromString(value)
        for detail in status.details:
            failed = provider_pb2.ErrorResourceInitFailed()
            if detail.Unpack(failed):
                return InitializationFailedError(
                    failed.id, decode(failed.properties), list(failed.reasons)
                )
    return OperationFailedError(error.details())
