"""`make up`: from whatever there is to a stack that answers."""

import time

from mlops_stack import report
from mlops_stack.pulumi_cli import Stack
from mlops_stack.status import rows


def up(stack: Stack, *, started: float) -> None:
    """Bring the stack up and print where everything is.

    Args:
        stack: the stack.
        started: `time.time()` of the command's start, toolchain included.

    Raises:
        PulumiError: Pulumi failed; it has said why.
    """
    with report.phase(f"pulumi up, stack {stack.name}"):
        stack.ensure()
        # Policies judge each resource before it is made. A preview of a cluster that is half made
        # tells nothing that the update does not, and costs as long as an update without changes.
        stack.run("up", "--yes", "--skip-preview", *stack.policies())
    report.plain("")
    report.table(rows(stack.name, stack.outputs()))
    suffix = "" if stack.name == "dev" else f" STACK={stack.name}"
    report.plain("")
    report.plain(f"Up in {time.time() - started:.0f} s. Next:")
    report.table(
        [
            (f"make run{suffix} MONTHS=1-6", "train on other months, against the champion"),
            (f"make status{suffix}", "whether everything still answers"),
            (f"make preview{suffix}", "what a change would do"),
            (f"make down{suffix}", "destroy all of it, and prove it"),
        ]
    )
