"""Parameters of a command, as the user wrote them."""

import json
from typing import Any

from mlops_stack.pulumi_cli import PulumiError


class AssignmentError(PulumiError):
    """A parameter is not NAME=VALUE; the message names it."""


def parse(assignments: list[str]) -> dict[str, Any]:
    """Return parameters of the form NAME=VALUE; a value that is no JSON is text.

    NAME.FIELD=VALUE sets a field of an object: a shell takes the quotes away that JSON needs.

    Raises:
        AssignmentError: one has another form, or contradicts one before it.
    """
    found: dict[str, Any] = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator or not name:
            raise AssignmentError(f"{assignment!r} is not NAME=VALUE, for example iterations=200")
        whole, _, field = name.partition(".")
        if not field:
            found[name] = _value(text)
            continue
        parts = found.setdefault(whole, {})
        if not isinstance(parts, dict):
            raise AssignmentError(f"{assignment!r} sets a field of {whole}, which is {parts!r}")
        parts[field] = _value(text)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
