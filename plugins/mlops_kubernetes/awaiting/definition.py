"""Namespaces: active. CustomResourceDefinitions: established."""

from typing import Any

from mlops_kubernetes.awaiting.verdict import (
    READY,
    Look,
    Verdict,
    condition,
    failed,
    is_old,
    is_true,
    status,
    waiting,
)


async def judge_namespace(value: dict[str, Any], _: Look) -> Verdict:
    """Wait for the phase Active."""
    phase = status(value).get("phase")
    return READY if phase == "Active" else waiting(f"the Namespace is {phase or 'new'}")


async def judge_definition(value: dict[str, Any], look: Look) -> Verdict:
    """Wait until the API server serves the kind."""
    accepted = condition(value, "NamesAccepted")
    if accepted.get("status") == "False" and not is_old(value, look, "NamesAccepted"):
        return failed(f"the names are not accepted: {accepted.get('message', '')}")
    if is_true(value, "Established"):
        return READY
    return waiting("the API server does not serve the kind yet")
