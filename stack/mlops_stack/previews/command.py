"""`make preview`: what `make up` would change, as Pulumi shows it or as a reviewer reads it."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Literal

from mlops_stack import report
from mlops_stack.previews import markdown, plan, summary, without_aws
from mlops_stack.pulumi_cli import Stack

Form = Literal["text", "markdown", "json"]


def preview(stack: Stack, *, form: Form, base: Path | None = None) -> bool:
    """Show what an update would do; return whether it could be done.

    Needs neither a cluster nor credentials of one.

    Args:
        stack: the stack.
        form: how to show it.
        base: summary of the target branch's preview, for a page to compare with.

    Raises:
        BaseError: the base is no such summary.
        PulumiError: Pulumi failed; it has said why.
    """
    compared = None if base is None else summary.read_base(base)
    new = not stack.exists()
    with contextlib.ExitStack() as plugins:
        if new:
            _say_where_it_comes_from(stack)
            # What was only looked at leaves nothing behind.
            plugins.callback(stack.remove)
        stack.ensure()
        variables: dict[str, str] = {}
        notes: tuple[str, ...] = ()
        if stack.aws_region() and not without_aws.aws_can_be_asked():
            variables = plugins.enter_context(without_aws.stand_in())
            notes = (without_aws.NOTE,)
        if form == "text":
            for note in notes:
                report.plain(note)
            stack.run("preview", "--diff", *stack.policies(), **variables)
            return True
        found = stack.preview_events(*stack.policies(), **variables)
    read = dataclasses.replace(plan.read(stack.name, found.events), notes=notes)
    page = summary.render(read) if form == "json" else markdown.render(read, compared)
    report.plain(page.rstrip("\n"))
    return found.succeeded


def _say_where_it_comes_from(stack: Stack) -> None:
    if not stack.file().exists():
        stacks = ", ".join(stack.configured()) or "none"
        report.note(
            f"there is no stack {stack.name} and no {stack.file().name}: this is a new stack with "
            f"every setting at its default (stacks with a file here: {stacks})"
        )
