"""`make preview`: what `make up` would change, as Pulumi shows it or as a reviewer reads it."""

import contextlib
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Literal

from mlops_stack import lasting, ownership, report, stack_images
from mlops_stack.pulumi_cli import Stack
from mlops_stack.review import markdown, offline_aws, plan, summary

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
        OwnershipError: the stack's cluster belongs to somebody else.
        PulumiError: Pulumi failed; it has said why.
    """
    compared = None if base is None else summary.read_base(base)
    ownership.check(stack)
    new = not stack.exists()
    with contextlib.ExitStack() as plugins:
        if new:
            _say_where_it_comes_from(stack)
            # What was only looked at leaves nothing behind.
            plugins.callback(stack.remove)
        # With nothing protected: the engine would stop at the first loss, and not say why.
        stack.ensure(replace=lasting.EVERYTHING, **stack_images.configuration(stack))
        variables: dict[str, str] = {}
        notes: tuple[str, ...] = ()
        if stack.aws_region() and not offline_aws.aws_can_be_asked():
            variables = plugins.enter_context(offline_aws.stand_in())
            notes = (offline_aws.NOTE,)
        if form == "text":
            for note in notes:
                report.plain(note)
            return _as_text(stack, variables)
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


def _as_text(stack: Stack, variables: dict[str, str]) -> bool:
    """Show a preview as Pulumi does, and below it what data would be lost."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "events")
        stack.run(
            *("preview", "--diff", "--event-log", str(log), *stack.policies()),
            # The option exists for debugging only.
            **{**variables, "PULUMI_DEBUG_COMMANDS": "true"},
        )
        events = [json.loads(line) for line in log.read_text().splitlines() if line]
    lost = lasting.losses(plan.read(stack.name, events), stack.resources())
    if not lost:
        return True
    report.plain("⚠ these hold data, which would be lost:")
    for _, text in lost:
        report.plain(f"  {text}")
    if not stack.settings().ephemeral:
        report.plain(
            "  the stack is not ephemeral: `make up` refuses this, unless REPLACE= names it"
        )
    return True
