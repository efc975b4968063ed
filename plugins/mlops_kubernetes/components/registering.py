"""Registers a component and its children with the engine's resource monitor."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import grpc

from mlops_kubernetes import VERSION
from mlops_kubernetes.components.manifests import Manifest
from mlops_kubernetes.engine import CHANNEL_OPTIONS
from mlops_kubernetes.values import ResourceReference, encode

from pulumi.runtime.proto import (  # isort: skip - needs engine's registration of the stubs
    resource_pb2,
    resource_pb2_grpc,
)

_PACKAGE: Final = "kubernetes"
_INHERITED: Final = ("protect", "retainOnDelete")


class RegistrationError(Exception):
    """The engine did not register a resource."""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A resource of the stack."""

    urn: str
    id: str = ""


class Monitor:
    """The resource monitor of one Construct request."""

    def __init__(self, request: Any) -> None:
        """Connect to the monitor that the request names."""
        self._request = request
        self._channel = grpc.aio.insecure_channel(request.monitorEndpoint, options=CHANNEL_OPTIONS)
        self._stub: Any = resource_pb2_grpc.ResourceMonitorStub(self._channel)

    async def register_component(self) -> Registered:
        """Register the component itself.

        Raises:
            RegistrationError: the engine refused.
        """
        request = self._request
        return await self._register(
            resource_pb2.RegisterResourceRequest(
                type=request.type,
                name=request.name,
                parent=request.parent,
                aliasURNs=list(request.aliases),
                dependencies=list(request.dependencies),
                providers=dict(request.providers),
                deletedWith=request.deletedWith,
                **self._inherited(),
            )
        )

    async def register_children(
        self, parent: Registered, manifests: list[Manifest], *, prefix: str, after: Iterable[str]
    ) -> list[Registered]:
        """Register objects as children, each as soon as those it must follow exist.

        Args:
            parent: the component.
            manifests: the objects, ordered.
            prefix: of the children's names.
            after: URNs that all children depend on.

        Raises:
            RegistrationError: the engine refused one of them.
        """
        names = [manifest.resource_name(prefix) for manifest in manifests]
        begun: list[asyncio.Future[Registered]] = [
            asyncio.get_running_loop().create_future() for _ in manifests
        ]

        async def register(index: int, manifest: Manifest) -> None:
            followed = [await begun[i] for i in sorted(manifest.after)]
            dependencies = [*after, *(r.urn for r in followed)]
            begun[index].set_result(
                await self._register_child(parent, manifest, names[index], dependencies)
            )

        try:
            async with asyncio.TaskGroup() as group:
                for index, manifest in enumerate(manifests):
                    group.create_task(register(index, manifest))
        except* RegistrationError as errors:
            raise RegistrationError("; ".join(map(str, errors.exceptions))) from None
        return [future.result() for future in begun]

    async def finish(self, component: Registered, outputs: dict[str, Any]) -> None:
        """Record the component's outputs, which completes it."""
        await self._stub.RegisterResourceOutputs(
            resource_pb2.RegisterResourceOutputsRequest(urn=component.urn, outputs=encode(outputs))
        )

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def _register_child(
        self, parent: Registered, manifest: Manifest, name: str, dependencies: list[str]
    ) -> Registered:
        provider = self._request.providers.get(_PACKAGE, "")
        return await self._register(
            resource_pb2.RegisterResourceRequest(
                type=manifest.type_token,
                name=name,
                parent=parent.urn,
                custom=True,
                object=encode(manifest.value, manifest.secrets),
                dependencies=dependencies,
                provider=provider,
                version=VERSION,
                deletedWith=self._request.deletedWith,
                **self._inherited(),
            )
        )

    async def _register(self, request: Any) -> Registered:
        request.acceptSecrets = True
        request.acceptResources = True
        request.supportsPartialValues = True
        request.supportsResultReporting = True
        try:
            answer = await self._stub.RegisterResource(request)
        except grpc.aio.AioRpcError as error:
            raise RegistrationError(f"{request.type} {request.name}: {error.details()}") from error
        if answer.result != resource_pb2.SUCCESS:
            raise RegistrationError(f"{request.type} {request.name} was not made")
        return Registered(urn=answer.urn, id=answer.id)

    def _inherited(self) -> dict[str, Any]:
        """Options of the component that hold for its children too."""
        request = self._request
        return {name: getattr(request, name) for name in _INHERITED if request.HasField(name)}


def references(children: Iterable[Registered]) -> list[ResourceReference]:
    """Return the children as the component's output `resources`."""
    return [ResourceReference(urn=child.urn, id=child.id) for child in children]
