"""Components that the plugin makes itself: sets of objects from manifests.

`kubernetes:yaml/v2:ConfigFile` and `ConfigGroup`, `kubernetes:kustomize/v2:Directory` and
`kubernetes:helm.sh/v4:Chart`. Their children are ordinary resources of this plugin.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from mlops_kubernetes import kinds
from mlops_kubernetes.applying import OperationError
from mlops_kubernetes.client import ApiError, UnreachableError
from mlops_kubernetes.cluster import Cluster
from mlops_kubernetes.components import manifests, sources
from mlops_kubernetes.components.manifests import Manifest, ManifestError
from mlops_kubernetes.components.registering import Monitor, RegistrationError, references
from mlops_kubernetes.discovery import UnknownKindError
from mlops_kubernetes.engine import Log
from mlops_kubernetes.paths import ROOT, PropertyPath
from mlops_kubernetes.settings import OFFICIAL
from mlops_kubernetes.values import (
    UNKNOWN,
    Properties,
    contains_unknown,
    decode,
    encode,
    inexact_integers,
)

from pulumi.runtime.proto import provider_pb2  # isort: skip - needs engine's registration


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a component is made of.

    Attributes:
        values: the objects.
        secrets: secret paths, by the object's place in `values`.
        origin: for messages.
        namespace: for objects that name none; empty for the provider's.
        all_secret: a secret went into rendering, so any part of any object may show it.
    """

    values: list[dict[str, Any]]
    origin: str
    secrets: dict[int, frozenset[PropertyPath]]
    namespace: str = ""
    all_secret: bool = False


Reader = Callable[[str, Properties, Cluster, Log], Awaitable[Source]]


async def construct(request: Any, cluster: Cluster, log: Log) -> Any:
    """Make a component and its children, and return the ConstructResponse.

    Raises:
        OperationError: the type is none of this plugin's components, or a child was refused.
        ManifestError: the manifests cannot be used.
    """
    reader = _READERS.get(request.type)
    if reader is None:
        raise OperationError(
            f"component {request.type} is not supported by this plugin; {OFFICIAL}"
        )
    inputs = decode(request.inputs)
    monitor = Monitor(request)
    try:
        component = await monitor.register_component()
        resources: Any = UNKNOWN
        if not _is_unknown(inputs):
            source = await reader(request.name, inputs, cluster, log)
            ordered = await _manifests(source, inputs, cluster)
            await _warn_of_integers(ordered, log)
            children = await monitor.register_children(
                component,
                ordered,
                prefix=_prefix(request.name, inputs),
                after=_dependencies(request, inputs),
            )
            resources = references(children)
        await monitor.finish(component, {"resources": resources})
    except RegistrationError as error:
        raise OperationError(str(error)) from error
    finally:
        await monitor.close()
    return provider_pb2.ConstructResponse(urn=component.urn, state=encode({"resources": resources}))


def _is_unknown(inputs: Properties) -> bool:
    """Whether the children cannot be told yet; their fields, though not names, may be unknown."""
    others = {key: value for key, value in inputs.value.items() if key != "objs"}
    objs = inputs.value.get("objs")
    metadata = ROOT.child("metadata")
    told = (ROOT.child("kind"), ROOT.child("apiVersion"), metadata)
    named = (metadata.child("name"), metadata.child("namespace"))
    return (
        contains_unknown(others)
        or objs is UNKNOWN
        or any(path.get(obj) is UNKNOWN for obj in _list(objs) for path in (*told, *named))
        or UNKNOWN in _list(objs)
    )


async def _manifests(source: Source, inputs: Properties, cluster: Cluster) -> list[Manifest]:
    namespace = source.namespace or cluster.namespace
    scopes = manifests.scope_from_definitions(source.values)
    found = []
    for index, value in enumerate(source.values):
        for item in manifests.expand([value], source.origin):
            kind = kinds.of_object(item)
            namespaced = scopes[kind] if kind in scopes else await _namespaced(kind, cluster)
            placed = manifests.placed(item, namespace, namespaced)
            if inputs.value.get("skipAwait"):
                placed = manifests.without_await(placed)
            secrets = set(source.secrets.get(index, frozenset()))
            if source.all_secret:
                plain = ("apiVersion", "kind", "metadata")
                secrets |= {PropertyPath((key,)) for key in placed if key not in plain}
            found.append(manifests.as_manifest(placed, secrets))
    return manifests.ordered(found)


async def _namespaced(kind: kinds.Kind, cluster: Cluster) -> bool | None:
    """Whether a kind has namespaces; None when nobody can tell yet."""
    if (known := kinds.builtin(kind)) is not None:
        return known.namespaced
    try:
        cluster.client.fail_fast()
        return (await cluster.discovery.endpoint(kind)).namespaced
    except (ApiError, UnknownKindError, UnreachableError):
        return None


async def _warn_of_integers(ordered: list[Manifest], log: Log) -> None:
    for manifest in ordered:
        for path in inexact_integers(manifest.value):
            await log.warning(
                f"{manifest.kind.kind} {manifest.name}: {path} is an integer beyond 2^53, which "
                "Pulumi does not carry exactly; write it as a string if the kind allows that"
            )


def _prefix(name: str, inputs: Properties) -> str:
    prefix = inputs.value.get("resourcePrefix")
    return name if prefix is None else str(prefix)


def _dependencies(request: Any, inputs: Properties) -> list[str]:
    found = set(inputs.dependencies)
    for dependency in request.inputDependencies.values():
        found.update(dependency.urns)
    return sorted(found)


async def _config_file(name: str, inputs: Properties, *_: Any) -> Source:
    file = inputs.value.get("file")
    if not isinstance(file, str) or not file:
        raise ManifestError(f"ConfigFile {name}: give it a file")
    values = await asyncio.to_thread(sources.read_files, [file])
    return Source(values=values, origin=file, secrets={})


async def _config_group(name: str, inputs: Properties, *_: Any) -> Source:
    given = inputs.value
    files = _list(given.get("files"))
    texts = _list(given.get("yaml"))
    origin = f"ConfigGroup {name}"
    objs = [_known_object(origin, value) for value in _list(given.get("objs"))]
    secrets: dict[int, set[PropertyPath]] = {}
    for path in inputs.secrets:
        match path.parts:
            case ("objs", int(index), *rest) if rest:
                secrets.setdefault(index, set()).add(PropertyPath(tuple(rest)))
    whole = any(path.parts[:1] == ("yaml",) or len(path.parts) <= 2 for path in inputs.secrets)
    values = [*objs]
    values += await asyncio.to_thread(sources.read_files, [str(f) for f in files])
    for text in texts:
        values += manifests.parse(str(text), origin)
    return Source(
        values=values,
        origin=origin,
        secrets={index: frozenset(paths) for index, paths in secrets.items()},
        all_secret=whole,
    )


async def _kustomization(name: str, inputs: Properties, *_: Any) -> Source:
    directory = inputs.value.get("directory")
    if not isinstance(directory, str) or not directory:
        raise ManifestError(f"Directory {name}: give it a directory")
    return Source(
        values=await sources.render_kustomization(directory),
        origin=directory,
        secrets={},
        namespace=str(inputs.value.get("namespace") or ""),
    )


async def _chart(name: str, inputs: Properties, cluster: Cluster, log: Log) -> Source:
    given = inputs.value
    refused = ("repositoryOpts", "postRenderer", "verify", "keyring", "plainHttp", "devel")
    for key in refused:
        if given.get(key):
            raise ManifestError(f"Chart {name}: {key} is not supported by this plugin; {OFFICIAL}")
    namespace = str(given.get("namespace") or cluster.namespace)
    values, hooks = await sources.render_chart(
        chart=str(given.get("chart") or ""),
        release=str(given.get("name") or name),
        namespace=namespace,
        values=[given["values"]] if given.get("values") else [],
        value_files=[str(text) for text in _list(given.get("valueYamlFiles"))],
        include_crds=not given.get("skipCrds"),
        api_versions=[],
        kube_version=await _server_version(cluster),
        dependency_update=bool(given.get("dependencyUpdate")),
    )
    if hooks and not cluster.settings.suppress_helm_hook_warnings:
        await log.warning(f"hooks of the chart are left out: {', '.join(hooks)}")
    return Source(
        values=values,
        origin=f"chart {given.get('chart')}",
        secrets={},
        namespace=namespace,
        all_secret=bool(inputs.secrets),
    )


async def _server_version(cluster: Cluster) -> str:
    """Return the cluster's version for the chart's conditions; empty when there is none to ask."""
    try:
        cluster.client.fail_fast()
        version: str = (await cluster.client.get("/version"))["gitVersion"]
    except (ApiError, UnreachableError, KeyError):
        return ""
    return version


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _known_object(origin: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ManifestError(f"{origin}: objs must hold objects")
    return value


_READERS: Final[dict[str, Reader]] = {
    "kubernetes:yaml/v2:ConfigFile": _config_file,
    "kubernetes:yaml/v2:ConfigGroup": _config_group,
    "kubernetes:kustomize/v2:Directory": _kustomization,
    "kubernetes:helm.sh/v4:Chart": _chart,
}
