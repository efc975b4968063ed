"""What a change means: apply what is wanted, report what is, and remove what is no longer."""

from collections.abc import Mapping
from typing import Any, Protocol

from seldon_controller import manifest, objects, status
from seldon_controller.manifest import ManifestError
from seldon_controller.objects import Children, Images


class RefusedError(Exception):
    """The API server does not take an object; the message names it and the reason."""


class Cluster(Protocol):
    """The part of the Kubernetes API that is needed; see `cluster.Cluster`."""

    def read(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return a SeldonDeployment, or None."""

    def children(self, kind: str, namespace: str, name: str) -> list[dict[str, Any]]:
        """Return its objects of a kind."""

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Make an object as its manifest says, or raise RefusedError."""

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object."""

    def write_status(self, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        """Replace the status."""


def reconcile(cluster: Cluster, body: Mapping[str, Any], images: Images) -> None:
    """Make the objects of a SeldonDeployment as it wants them, and write its status.

    One that is not honoured, or whose objects the API server refuses, gets the reason as its
    status; its objects stay as they are. Objects that it no longer asks for are removed once
    everything that is asked for serves: an old version serves until then.
    """
    if body["metadata"].get("deletionTimestamp"):
        return
    try:
        children = objects.build(manifest.read(body, tuple(images.servers)), images)
    except ManifestError as error:
        _fail(cluster, body, "NotSupported", str(error))
        return
    refused = []
    for child in [*children.services, *children.deployments]:
        try:
            cluster.apply({**child, "metadata": {**child["metadata"], **_owned(body)}})
        except RefusedError as error:
            refused.append(str(error))
    if refused:
        _fail(cluster, body, "Refused", "; ".join(refused))
        return
    _report(cluster, body, children)


def _report(cluster: Cluster, body: Mapping[str, Any], children: Children) -> None:
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    deployments, services, pods = (
        cluster.children(kind, namespace, name) for kind in ("Deployment", "Service", "Pod")
    )
    found = status.current(
        children,
        deployments=deployments,
        services=services,
        pods=pods,
        generation=body["metadata"]["generation"],
        old=body.get("status") or {},
    )
    _write(cluster, body, found)
    if found["state"] == "Available":
        for kind, there, wanted in (
            ("Deployment", deployments, children.deployments),
            ("Service", services, children.services),
        ):
            names = {each["metadata"]["name"] for each in wanted}
            for each in there:
                if each["metadata"]["name"] not in names and _is_owned(each, body):
                    cluster.delete(kind, namespace, each["metadata"]["name"])


def _fail(cluster: Cluster, body: Mapping[str, Any], reason: str, message: str) -> None:
    old = body.get("status") or {}
    _write(cluster, body, status.failed(reason, message, body["metadata"]["generation"], old))


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
