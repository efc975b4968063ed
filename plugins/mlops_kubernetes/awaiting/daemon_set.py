"""DaemonSets: every node that should run a pod runs a current and available one."""

from typing import Any

from mlops_kubernetes.awaiting.verdict import (
    READY,
    Look,
    Verdict,
    observed,
    spec,
    status,
    waiting,
)


async def judge_daemon_set(value: dict[str, Any], _: Look) -> Verdict:
    """Follow `kubectl rollout status`; with `OnDelete` old pods count too."""
    if not observed(value):
        return waiting("the controller has not seen the DaemonSet yet")
    now = status(value)
    desired = now.get("desiredNumberScheduled", 0)
    updated, available = now.get("updatedNumberScheduled", 0), now.get("numberAvailable", 0)
    on_delete = (spec(value).get("updateStrategy") or {}).get("type") == "OnDelete"
    if updated < desired and not on_delete:
        return waiting(f"{updated} of {desired} pods updated")
    return READY if available >= desired else waiting(f"{available} of {desired} pods available")
