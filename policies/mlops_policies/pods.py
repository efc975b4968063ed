"""Kubernetes workloads: fixed images, resource requests, no privileges, whatever the kind."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mlops_policies.rule import UNKNOWN, Allowed, Resource, Rule, items

_TEMPLATES: Final = {
    "Pod": ("spec",),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "ReplicationController"),
        ("spec", "template", "spec"),
    ),
}
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_MOVING = frozenset({"latest", "stable", "edge", "main", "master", "dev", "nightly"})
_REQUESTED = ("cpu", "memory")
_HOST = ("hostNetwork", "hostPID", "hostIPC")
_HARMLESS = frozenset({"NET_BIND_SERVICE"})


def pod(resource: Resource) -> Mapping[str, Any] | None:
    """Return the Pod's specification in a Kubernetes resource, if it has one that is known."""
    if not resource.type.startswith("kubernetes:"):
        return None
    path = _TEMPLATES.get(resource.type.rpartition(":")[2].removesuffix("Patch"))
    found = resource.get(".".join(path)) if path else None
    return found if isinstance(found, Mapping) else None


def containers(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all containers of a Pod, those that run first included."""
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [c for kind in kinds for c in items(spec.get(kind)) if isinstance(c, dict)]


def image_problem(image: str) -> str:
    """Return what is wrong with an image's reference; nothing if it always means the same."""
    if _DIGEST.search(image):
        return ""
    # A colon before a slash belongs to a registry's port.
    _, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    if not tag:
        return "has neither tag nor digest, which means latest"
    if tag.lower() in _MOVING:
        return f"has the tag {tag!r}, which is moved with each build"
    return ""


def _images(resource: Resource, _: Allowed) -> Iterator[str]:
    for container in containers(pod(resource) or {}):
        image = container.get("image")
        if isinstance(image, str) and (problem := image_problem(image)):
            yield f"the image {image} of container {container.get('name')} {problem}"


def _requests(resource: Resource, _: Allowed) -> Iterator[str]:
    for container in containers(pod(resource) or {}):
        resources = container.get("resources") or {}
        if resources is UNKNOWN:
            continue
        # Kubernetes takes a limit as the request where there is none.
        given = {key for part in ("requests", "limits") for key in _keys(resources.get(part))}
        unknown = UNKNOWN in (resources.get("requests"), resources.get("limits"))
        if not unknown and (missing := [key for key in _REQUESTED if key not in given]):
            yield f"container {container.get('name')} requests no {' and no '.join(missing)}"


def _keys(value: object) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def _privileges(resource: Resource, allowed: Allowed) -> Iterator[str]:
    spec = pod(resource)
    if spec is None or resource.name in allowed.privileged:
        return
    for key in _HOST:
        if spec.get(key) is True:
            yield f"{key} is true"
    for volume in items(spec.get("volumes")):
        if isinstance(volume, dict) and volume.get("hostPath") is not None:
            yield f"the volume {volume.get('name')} is a folder of the node"
    for container in containers(spec):
        context = container.get("securityContext")
        if not isinstance(context, dict):
            continue
        if context.get("privileged") is True:
            yield f"container {container.get('name')} is privileged"
        capabilities = context.get("capabilities")
        added = capabilities.get("add") if isinstance(capabilities, dict) else None
        if extra := [c for c in items(added) if c not in _HARMLESS]:
            yield f"container {container.get('name')} adds the capabilities {', '.join(extra)}"


RULES = (
    Rule(
        name="fixed-image",
        description="Every image has a fixed tag or a digest.",
        remedy="Use a version that is never moved, or name@sha256:DIGEST.",
        check=_images,
    ),
    Rule(
        name="resource-requests",
        description="Every container requests CPU and memory.",
        remedy="Set resources.requests.cpu and resources.requests.memory.",
        check=_requests,
    ),
    Rule(
        name="no-privileged-pod",
        description="No Pod has the node's privileges, unless the stack lists it.",
        remedy="Drop the privilege, or add the resource's name to the stack's privilegedPods.",
        check=_privileges,
    ),
)
