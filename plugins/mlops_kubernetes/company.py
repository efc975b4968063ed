"""What a deletion takes along: the objects of a definition, and those in a namespace."""

from collections.abc import AsyncIterator
from typing import Any, Final

from mlops_kubernetes.client import ApiError, UnreachableError
from mlops_kubernetes.discovery import Discovery, Location
from mlops_kubernetes.kinds import Endpoint, Kind

_SHOWN: Final = 5
_PAGE: Final = 200
# Kinds of Kubernetes that somebody made on purpose; controllers make and remove the others.
_WORK: Final = (
    (Kind("v1", "PersistentVolumeClaim"), Endpoint("persistentvolumeclaims", namespaced=True)),
    (Kind("apps/v1", "Deployment"), Endpoint("deployments", namespaced=True)),
    (Kind("apps/v1", "StatefulSet"), Endpoint("statefulsets", namespaced=True)),
    (Kind("apps/v1", "DaemonSet"), Endpoint("daemonsets", namespaced=True)),
    (Kind("batch/v1", "CronJob"), Endpoint("cronjobs", namespaced=True)),
    (Kind("batch/v1", "Job"), Endpoint("jobs", namespaced=True)),
    (Kind("v1", "Pod"), Endpoint("pods", namespaced=True)),
    (Kind("v1", "Service"), Endpoint("services", namespaced=True)),
    (Kind("v1", "Secret"), Endpoint("secrets", namespaced=True)),
    (Kind("v1", "ConfigMap"), Endpoint("configmaps", namespaced=True)),
)
# The controller manager puts it into every namespace.
_ROOT_AUTHORITY: Final = "kube-root-ca.crt"


async def taken_along(discovery: Discovery, location: Location, live: dict[str, Any]) -> str:
    """Return what goes with an object that is about to be deleted, in one line; empty for nothing.

    What the cluster does not let be listed is left out: the deletion does not depend on it.
    """
    found = []
    async for collection in _collections(discovery, location, live):
        try:
            names, more = await _names(discovery, collection)
        except (ApiError, UnreachableError):
            continue
        if names:
            number = f"{len(names)} or more" if more else str(len(names))
            shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN or more else "")
            found.append(f"{number} {collection.kind.kind} ({shown})")
    return "; ".join(found)


async def _collections(
    discovery: Discovery, location: Location, live: dict[str, Any]
) -> AsyncIterator[Location]:
    """Yield the collections whose objects go with an object."""
    match location.kind.group, location.kind.kind:
        case "apiextensions.k8s.io", "CustomResourceDefinition":
            spec = live["spec"]
            served = [version["name"] for version in spec["versions"] if version["served"]]
            if served:
                kind = Kind(f"{spec['group']}/{served[0]}", spec["names"]["kind"])
                yield Location(kind=kind, endpoint=Endpoint(spec["names"]["plural"], False))
        case "", "Namespace":
            for kind, endpoint in (*_WORK, *await _custom_kinds(discovery)):
                yield Location(kind=kind, endpoint=endpoint, namespace=location.name)


async def _custom_kinds(discovery: Discovery) -> list[tuple[Kind, Endpoint]]:
    try:
        return await discovery.custom_kinds()
    except (ApiError, UnreachableError):
        return []


async def _names(discovery: Discovery, collection: Location) -> tuple[list[str], bool]:
    """Return the names of a collection's objects, and whether there are more of them."""
    page = await discovery.client.get(collection.collection, limit=str(_PAGE))
    names = [
        f"{metadata['namespace']}/{metadata['name']}"
        if metadata.get("namespace") and not collection.namespace
        else str(metadata["name"])
        for metadata in (item["metadata"] for item in page.get("items") or [])
        # What has an owner goes with that, and what is going already needs no word.
        if not metadata.get("ownerReferences")
        and "deletionTimestamp" not in metadata
        and metadata["name"] != _ROOT_AUTHORITY
    ]
    return names, bool((page.get("metadata") or {}).get("continue"))
