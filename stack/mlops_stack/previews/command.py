"""`make preview`: what `make up` would change, as Pulumi shows it or as a reviewer reads it."""

from typing import Literal

from mlops_stack import report
from mlops_stack.previews import markdown, plan
from mlops_stack.pulumi_cli import POLICIES, Stack

Form = Literal["text", "markdown", "json"]


def preview(stack: Stack, *, form: Form) -> bool:
    """Show what an update would do; return whether it could be done.

    Needs neither a cluster nor credentials of one.

    Args:
        stack: the stack.
        form: how to show it.

    Raises:
        PulumiError: Pulumi failed; it has said why.
    """
    stack.ensure()
    if form == "text":
        stack.run("preview", "--diff", *POLICIES)
        return True
    found = stack.preview_events(*POLICIES)
    report.plain(markdown.render(plan.read(stack.name, found.events)))
    return found.succeeded
