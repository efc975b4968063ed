"""StatefulSets: every replica runs the current revision and is ready."""

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


async def judge_stateful_set(value: dict[str, Any], _: Look) -> Verdict:
    """Follow `kubectl rollout status`, partitions included."""
    if not observed(value):
        return waiting("the controller has not seen the StatefulSet yet")
    now, desired = status(value), spec(value).get("replicas", 1)
    ready, updated = now.get("readyReplicas", 0), now.get("updatedReplicas", 0)
    if ready < desired:
        return waiting(f"{ready} of {desired} replicas ready")
    strategy = spec(value).get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return READY
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    if partition:
        wanted = max(desired - partition, 0)
        return READY if updated >= wanted else waiting(f"{updated} of {wanted} replicas updated")
    if now.get("updateRevision") != now.get("currentRevision"):
        return waiting(f"{updated} of {desired} replicas updated")
    return READY
