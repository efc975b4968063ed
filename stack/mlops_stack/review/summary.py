"""A plan as JSON: for machines, and as the base that a later preview is compared with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from mlops_stack.review import costs
from mlops_stack.review.plan import Plan

_FORMAT: Final = 1


class BaseError(ValueError):
    """The file given as base is no summary of a preview; the message says how to make one."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """What another preview of the stack, usually of the target branch, says.

    Attributes:
        monthly: US dollars a month.
        resources: the URNs of the resources.
    """

    monthly: Decimal
    resources: frozenset[str]


def render(plan: Plan) -> str:
    """Return the summary."""
    after = costs.after(plan)
    content: dict[str, Any] = {
        "format": _FORMAT,
        "stack": plan.stack,
        "monthlyUsd": str(after.monthly),
        "unpriced": list(after.unpriced),
        "usageBased": list(after.by_use),
        "resources": [
            {
                "urn": change.urn,
                "layer": change.layer,
                "operation": change.operation.value,
                "changed": [d.path for d in change.differences],
                "forcesReplacement": [d.path for d in change.differences if d.forces_replacement],
            }
            for change in plan.changes
        ],
        "violations": [
            {
                "rule": violation.rule,
                "urn": violation.urn,
                "message": violation.message,
                "mandatory": violation.mandatory,
            }
            for violation in plan.violations
        ],
        "errors": list(plan.errors),
        "notes": list(plan.notes),
    }
    return json.dumps(content, indent=2) + "\n"


def read_base(file: Path) -> Base:
    """Return the base that a summary in a file describes.

    Raises:
        BaseError: the file cannot be read, or is no summary.
    """
    try:
        content: Mapping[str, Any] = json.loads(file.read_text())
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}")
        return Base(
            monthly=Decimal(content["monthlyUsd"]),
            resources=frozenset(
                entry["urn"] for entry in content["resources"] if entry["operation"] != "deleted"
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError) as problem:
        raise BaseError(
            f"{file} is no base to compare with ({problem}); make one on the target branch with "
            "`make preview FORMAT=json > base.json`"
        ) from problem
