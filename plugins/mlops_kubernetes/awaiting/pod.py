"""Pods: ready, or run to a successful end."""

from collections.abc import Iterator
from typing import Any

from mlops_kubernetes.awaiting.verdict import (
    READY,
    Look,
    Verdict,
    condition,
    failed,
    is_true,
    status,
    waiting,
)


async def judge_pod(value: dict[str, Any], look: Look) -> Verdict:
    """Wait for the condition Ready or the phase Succeeded; the phase Failed ends the wait."""
    phase = status(value).get("phase", "Pending")
    if phase == "Succeeded" or is_true(value, "Ready"):
        return READY
    trouble = "; ".join(troubles(value))
    if phase == "Failed":
        reason = status(value).get("message") or status(value).get("reason") or ""
        # It stays so: nothing runs a Pod again.
        old = status(look.before).get("phase") == "Failed"
        when = " before this update; replace it with `pulumi up --replace URN`" if old else ""
        return failed(f"the Pod failed{when}: {'; '.join(filter(None, (reason, trouble)))}")
    return waiting(trouble or f"the Pod is {phase.lower()} and not ready")


def troubles(value: dict[str, Any]) -> Iterator[str]:
    """Yield what keeps a pod from being ready: scheduling, and containers that wait or ended."""
    scheduled = condition(value, "PodScheduled")
    if scheduled.get("status") == "False":
        yield f"[{scheduled.get('reason', 'Unschedulable')}] {scheduled.get('message', '')}"
    for container in container_statuses(value):
        name, now = container.get("name"), container.get("state") or {}
        if held := now.get("waiting"):
            if held.get("reason") not in ("ContainerCreating", "PodInitializing"):
                text = held.get("message") or ""
                yield f"container {name}: [{held.get('reason')}] {text}".rstrip()
        elif (ended := now.get("terminated")) and ended.get("exitCode"):
            text = f"container {name} ended with code {ended['exitCode']}"
            yield f"{text} ({ended.get('reason', 'Error')})"


def container_statuses(value: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statuses of a pod's containers, initialising ones first."""
    now = status(value)
    return [*(now.get("initContainerStatuses") or []), *(now.get("containerStatuses") or [])]
