"""Parameters of a command, as the user wrote them."""

import json
from typing import Any

from mlops_stack.pulumi_cli import PulumiError


class AssignmentError(PulumiError):
    """A parameter is not NAME=VALUE; the message names it."""


def parse(assignments: list[str]) -> dict[str, Any]:
    """Return parameters of the form NAME=VALUE; a value that is no JSON is text.

    Raises:
        AssignmentError: one has another form.
    """
    found = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator or not name:
            raise AssignmentError(f"{assignment!r} is not NAME=VALUE, for example iterations=200")
        try:
            found[name] = json.loads(text)
        except json.JSONDecodeError:
            found[name] = text
    return found
