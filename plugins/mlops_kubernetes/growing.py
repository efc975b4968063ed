"""Volume claims that ask for more than they have, of a StorageClass that does not let them grow."""

from typing import Any, Final

from mlops_kubernetes.client import Client

_CLASSES: Final = "/apis/storage.k8s.io/v1/storageclasses"


def requested(claim: dict[str, Any]) -> str:
    """Return the size that a PersistentVolumeClaim asks for; empty where it names none."""
    resources = (claim.get("spec") or {}).get("resources") or {}
    return str((resources.get("requests") or {}).get("storage") or "")


async def refusal(client: Client, path: str, wanted: str) -> str:
    """Return why a claim cannot grow to a size, with the remedy; empty if its class lets it.

    A claim without a class has a volume that somebody made by hand: nothing makes it grow either.

    Args:
        client: the cluster.
        path: the claim's, in the API.
        wanted: the size, as a Kubernetes quantity.

    Raises:
        ApiError: the API server refuses to tell.
        UnreachableError: there is no API server.
    """
    claim = await client.get_or_none(path)
    there = requested(claim or {})
    if claim is None or not wanted or wanted == there:
        return ""
    identity = f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"
    name = str(claim["spec"].get("storageClassName") or "")
    what = f"PersistentVolumeClaim {identity} has {there} and cannot grow to {wanted}"
    if not name:
        return (
            f"{what}: it has no StorageClass, so nothing makes its volume larger. Ask for {there}, "
            "or move the data to a claim with a class"
        )
    found = await client.get_or_none(f"{_CLASSES}/{name}")
    if found and found.get("allowVolumeExpansion"):
        return ""
    patch = """-p '{"allowVolumeExpansion": true}'"""
    return (
        f"{what}: its StorageClass {name} does not set allowVolumeExpansion. Ask for {there}; or, "
        f"if its provisioner can make volumes larger: kubectl patch storageclass {name} {patch}"
    )
