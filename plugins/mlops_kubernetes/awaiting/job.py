"""Jobs: completed. A suspended Job counts as ready, since nothing will happen to it."""

from typing import Any

from mlops_kubernetes.awaiting.verdict import (
    READY,
    Look,
    Verdict,
    condition,
    failed,
    is_old,
    is_true,
    spec,
    status,
    waiting,
)


async def judge_job(value: dict[str, Any], look: Look) -> Verdict:
    """Wait for the condition Complete; the condition Failed ends the wait.

    A Job that has failed never runs again, so an old failure is one too.
    """
    if is_true(value, "Complete"):
        return READY
    if is_true(value, "Failed"):
        found = condition(value, "Failed")
        when = " before this update" if is_old(value, look, "Failed") else ""
        remedy = (
            "; a failed Job does not run again: replace it (`pulumi up --replace URN`, or the "
            'annotation pulumi.com/replaceUnready: "true")'
            if when
            else ""
        )
        return failed(
            f"the Job failed{when} ({found.get('reason', '')}): {found.get('message', '')}{remedy}"
        )
    if spec(value).get("suspend"):
        return READY
    now = status(value)
    desired = spec(value).get("completions") or 1
    counts = f"{now.get('active', 0)} active, {now.get('failed', 0)} failed"
    return waiting(f"{now.get('succeeded', 0)} of {desired} pods completed ({counts})")
