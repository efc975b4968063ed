"""Deployments, ReplicaSets and ReplicationControllers: the rollout is complete."""

from typing import Any

from mlops_kubernetes.awaiting.verdict import (
    READY,
    Look,
    Verdict,
    condition,
    failed,
    observed,
    spec,
    status,
    waiting,
)


async def judge_deployment(value: dict[str, Any], _: Look) -> Verdict:  # noqa: PLR0911
    """Follow `kubectl rollout status`: all replicas updated and available, no old ones left."""
    if not observed(value):
        return waiting("the controller has not seen the Deployment yet")
    if spec(value).get("paused"):
        return READY
    progressing = condition(value, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
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
