"""Jobs: completed. A suspended Job counts as ready, since nothing will happen to it."""

from typing import Any

from mlops_kubernetes.awaiting.verdict import (
    READY,
    Look,
    Verdict,
    condition,
    failed,
    is_true,
    spec,
    status,
    waiting,
)


async def judge_job(value: dict[str, Any], _: Look) -> Verdict:
    """Wait for the condition Complete; the condition Failed ends the wait."""
    if is_true(value, "Complete"):
        return READY
    if is_true(value, "Failed"):
        found = condition(value, "Failed")
        return failed(f"the Job failed ({found.get('reason', '')}): {found.get('message', '')}")
    if spec(value).get("suspend"):
        return READY
    now = status(value)
    desired = spec(value).get("completions") or 1
    counts = f"{now.get('active', 0)} active, {now.get('failed', 0)} failed"
    return waiting(f"{now.get('succeeded', 0)} of {desired} pods completed ({counts})")
