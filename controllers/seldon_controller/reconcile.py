"""What a change means: apply what is wanted, report what is, and remove what is no longer."""

from collections.abc import Mapping
from typing import Any, Protocol

from seldon_controller import manifest, objects, status
from seldon_controller.manifest import ManifestError
from seldon_controller.objects import Children, Images


class Cluster(Protocol):
    """The part of the Kubernetes API that is needed; see `cluster.Cluster`."""

    def read(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return a SeldonDeployment, or None."""

    def children(self, kind: str, namespace: str, name: str) -> list[dict[str, Any]]:
        """Return its objects of a kind."""

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Make an object as its manifest says."""

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object."""

    def write_status(self, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        """Replace the status."""


def reconcile(cluster: Cluster, body: Mapping[str, Any], images: Images) -> None:
    """Apply the objects of a SeldonDeployment.

    Raises:
        ManifestError: it is not honoured; its status says so, and its objects stay as they are.
    """
    metadata = body["metadata"]
    try:
        children = _children(body, images)
    except ManifestError as error:
        found = status.failed(
            "NotSupported", str(error), metadata["generation"], body.get("status") or {}
        )
        _write(cluster, body, found)
        raise
    for child in [*children.services, *children.deployments]:
        cluster.apply({**child, "metadata": {**child["metadata"], **_owned(body)}})
    report(cluster, metadata["namespace"], metadata["name"], images)


def report(cluster: Cluster, namespace: str, name: str, images: Images) -> None:
    """Write the status of a SeldonDeployment, and remove objects that it no longer asks for.

    They are removed once everything that is asked for serves: an old version serves until then.
    """
    body = cluster.read(namespace, name)
    if body is None or body["metadata"].get("deletionTimestamp"):
        return
    try:
        children = _children(body, images)
    except ManifestError:
        return
    deployments = cluster.children("Deployment", namespace, name)
    found = status.current(
        children,
        deployments,
        cluster.children("Pod", namespace, name),
        body["metadata"]["generation"],
        body.get("status") or {},
    )
    _write(cluster, body, found)
    if found["state"] == "Available":
        services = cluster.children("Service", namespace, name)
        for kind, there, wanted in (
            ("Deployment", deployments, children.deployments),
            ("Service", services, children.services),
        ):
            names = {each["metadata"]["name"] for each in wanted}
            for each in there:
                if each["metadata"]["name"] not in names and _is_owned(each, body):
                    cluster.delete(kind, namespace, each["metadata"]["name"])


def _children(body: Mapping[str, Any], images: Images) -> Children:
    return objects.build(manifest.read(body, tuple(images.servers)), images)


def _write(cluster: Cluster, body: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    # An equal status would be another event, and another round.
    if found != (body.get("status") or {}):
        metadata = body["metadata"]
        cluster.write_status(metadata["namespace"], metadata["name"], found)


def _owned(body: Mapping[str, Any]) -> dict[str, Any]:
    owner = {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "name": body["metadata"]["name"],
        "uid": body["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {"ownerReferences": [owner]}


def _is_owned(child: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    owners = child["metadata"].get("ownerReferences") or []
    return any(owner.get("uid") == body["metadata"]["uid"] for owner in owners)
