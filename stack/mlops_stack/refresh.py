"""`make refresh`: take what is there into the stack's state."""

from mlops_stack import ownership, report
from mlops_stack.locks import stack_lock
from mlops_stack.pulumi_cli import Stack


def refresh(stack: Stack) -> None:
    """Let Pulumi read every resource anew; the committed stack file stays as it is.

    Raises:
        BusyError: another command works on the stack.
        OwnershipError: the stack's cluster belongs to somebody else; nothing was changed.
        PulumiError: Pulumi failed; it has said why.
    """
    with stack_lock(stack.name, "make refresh"):
        ownership.check(stack)
        with report.phase(f"pulumi refresh, stack {stack.name}"):
            stack.ensure()
            stack.run("refresh", "--yes", "--skip-preview", "--diff")
