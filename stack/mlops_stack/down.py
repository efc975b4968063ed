"""`make down`: destroy the stack, then prove that nothing is left."""

import time

from mlops_infra.node import cluster
from mlops_infra.node.leftovers import leftovers
from mlops_stack import report
from mlops_stack.pulumi_cli import Stack


def down(stack: Stack) -> bool:
    """Destroy the stack and print what is left of it; return whether that is nothing.

    A stack that was never made, is half-made or whose cluster is dead goes down all the same.

    Raises:
        PulumiError: Pulumi failed; it has said why, and the state still holds what is left.
    """
    started = time.monotonic()
    # Asked before the destroy: it is the configuration that tells where the stack was.
    aws_region = stack.aws_region()
    if stack.exists():
        with report.phase(f"pulumi destroy, stack {stack.name}"):
            stack.ensure()
            stack.run("destroy", "--yes", "--skip-preview")
            stack.remove()
    else:
        report.plain(f"✓ stack {stack.name} does not exist")
    if aws_region:
        # Imported here: only stacks on AWS need its SDK.
        from mlops_stack.aws_leftovers import leftovers as in_aws  # noqa: PLC0415

        with report.phase(f"asking AWS, region {aws_region}"):
            found = [str(leftover) for leftover in in_aws(stack.name, aws_region)]
    else:
        # An interrupted first `up` may have begun a cluster that no state knows.
        with report.phase("embedded cluster"):
            cluster.delete(stack.name)
        found = [str(leftover) for leftover in leftovers(stack.name)]
    for leftover in found:
        report.plain(f"  {leftover}")
    report.plain(f"leftovers: {len(found)} ({time.monotonic() - started:.1f} s)")
    return not found
