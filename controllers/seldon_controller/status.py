"""The status of a SeldonDeployment, from its Deployments and their Pods."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from seldon_controller.objects import Children

# Reasons of a waiting container that time alone does not mend.
_STUCK = (
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
)
_LONGEST_MESSAGE = 1000


def failed(reason: str, message: str, generation: int, old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status of a manifest that is not honoured; what ran before runs on."""
    kept = ("deploymentStatus", "serviceStatus", "address", "replicas")
    return {
        **{key: old[key] for key in kept if key in old},
        "state": "Failed",
        "description": message,
        "observedGeneration": generation,
        "conditions": _conditions([("Ready", False, reason, message)], old),
    }


def current(
    children: Children,
    *,
    deployments: Sequence[Mapping[str, Any]],
    services: Sequence[Mapping[str, Any]],
    pods: Sequence[Mapping[str, Any]],
    generation: int,
    old: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the status of a manifest whose objects were applied.

    Args:
        children: the objects that the manifest asks for.
        deployments: Deployments as the API server holds them.
        services: Services as it holds them.
        pods: the Deployments' Pods, to say why one does not start.
        generation: the manifest's.
        old: the status so far, whose times stay where nothing changed.
    """
    wanted = [deployment["metadata"]["name"] for deployment in children.deployments]
    found = _there(deployments)
    rolled_out = all(name in found and _is_rolled_out(found[name]) for name in wanted)
    gone = sorted({each["metadata"]["name"] for each in children.services} - set(_there(services)))
    ready = rolled_out and not gone
    troubles = [] if rolled_out else sorted(set(_troubles(pods, wanted)))
    message = "; ".join(troubles)[:_LONGEST_MESSAGE]
    state = "Available" if ready else "Failed" if troubles else "Creating"
    if rolled_out:
        reason = ("AllReplicasReady", "")
    elif troubles:
        reason = ("PodsFail", message)
    else:
        waiting = [n for n in wanted if n not in found or not _is_rolled_out(found[n])]
        reason = ("RollingOut", f"waiting for {', '.join(waiting)}")
    missing = ("ServicesMissing", f"there is no Service {', '.join(gone)}")
    return {
        "state": state,
        **({"description": message} if message else {}),
        "observedGeneration": generation,
        "replicas": sum(_replicas(found.get(name))[0] for name in wanted),
        "deploymentStatus": {
            name: {
                "replicas": _replicas(found.get(name))[0],
                "availableReplicas": _replicas(found.get(name))[1],
            }
            for name in wanted
        },
        "serviceStatus": children.endpoints,
        "address": {"url": children.address},
        "conditions": _conditions(
            [
                ("DeploymentsReady", rolled_out, *reason),
                ("ServicesReady", not gone, *(missing if gone else ("ServicesThere", ""))),
                ("Ready", ready, *(missing if rolled_out and gone else reason)),
            ],
            old,
        ),
    }


def _there(objects: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return objects by name, without those that are being deleted."""
    return {
        each["metadata"]["name"]: each
        for each in objects
        if not each["metadata"].get("deletionTimestamp")
    }


def _is_rolled_out(deployment: Mapping[str, Any]) -> bool:
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    counts = ("replicas", "updatedReplicas", "availableReplicas")
    return status.get("observedGeneration", 0) >= deployment["metadata"].get(
        "generation", 1
    ) and all((status.get(name) or 0) == wanted for name in counts)


def _replicas(deployment: Mapping[str, Any] | None) -> tuple[int, int]:
    if deployment is None:
        return 0, 0
    status = deployment.get("status") or {}
    return deployment["spec"].get("replicas", 1), status.get("availableReplicas") or 0


def _troubles(pods: Sequence[Mapping[str, Any]], deployments: Sequence[str]) -> Iterator[str]:
    for pod in pods:
        metadata, status = pod["metadata"], pod.get("status") or {}
        if metadata.get("deletionTimestamp") or metadata["labels"].get("app") not in deployments:
            continue
        for kind in ("initContainerStatuses", "containerStatuses"):
            for container in status.get(kind) or []:
                trouble = _trouble(container)
                if trouble:
                    yield f"{metadata['labels']['app']}, container {container['name']}: {trouble}"


def _trouble(container: Mapping[str, Any]) -> str:
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    # One that was started again has failed until it is ready: it may do so again.
    if container.get("ready") or ended.get("exitCode") == 0:
        return ""
    if ended.get("exitCode"):
        text = str(ended.get("message") or "").strip().splitlines()
        return text[-1] if text else f"{ended.get('reason')}, exit code {ended['exitCode']}"
    if waiting.get("reason") in _STUCK:
        return f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
    return ""


def _conditions(
    wanted: Sequence[tuple[str, bool, str, str]], old: Mapping[str, Any]
) -> list[dict[str, str]]:
    before = {each["type"]: each for each in old.get("conditions") or []}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = []
    for kind, holds, reason, message in wanted:
        value = "True" if holds else "False"
        same = before.get(kind, {}).get("status") == value
        conditions.append(
            {
                "type": kind,
                "status": value,
                "reason": reason,
                "message": message,
                "lastTransitionTime": before[kind]["lastTransitionTime"] if same else now,
            }
        )
    return conditions
