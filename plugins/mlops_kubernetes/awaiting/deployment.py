"""Deployments, ReplicaSets and ReplicationControllers: the rollout is complete."""

from typing import Any

from mlops_kubernetes.awaiting.verdict import (
    READY,
    Look,
    Verdict,
    condition,
    failed,
    is_old,
    observed,
    spec,
    status,
    waiting,
)


async def judge_deployment(  # noqa: PLR0911
    value: dict[str, Any], look: Look
) -> Verdict:
    """Follow `kubectl rollout status`: all replicas updated and available, no old ones left.

    A deadline that was exceeded before this wait does not fail it: the condition stays until there
    is progress, and what kept the rollout may just have been mended.
    """
    if not observed(value):
        return waiting("the controller has not seen the Deployment yet")
    if spec(value).get("paused"):
        return READY
    progressing = condition(value, "Progressing")
    exceeded = progressing.get("reason") == "ProgressDeadlineExceeded"
    if exceeded and not is_old(value, look, "Progressing"):
        return failed(f"the rollout exceeded its deadline: {progressing.get('message', '')}")
    now, desired = status(value), spec(value).get("replicas", 1)
    updated, available = now.get("updatedReplicas", 0), now.get("availableReplicas", 0)
    if updated < desired:
        return waiting(f"{updated} of {desired} replicas updated")
    if now.get("replicas", 0) > updated:
        return waiting(f"{now['replicas'] - updated} old replicas are going away")
    if available < updated:
        return waiting(f"{available} of {updated} replicas available")
    return READY


async def judge_replica_set(value: dict[str, Any], _: Look) -> Verdict:
    """Wait until all replicas are available."""
    if not observed(value):
        return waiting("the controller has not seen the object yet")
    available, desired = status(value).get("availableReplicas", 0), spec(value).get("replicas", 1)
    return READY if available >= desired else waiting(f"{available} of {desired} replicas ready")
