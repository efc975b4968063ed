"""`make down`: destroy the stack, then prove that nothing is left."""

import time
from pathlib import Path

from mlops_infra.node import cluster
from mlops_infra.node.leftovers import leftovers
from mlops_stack import report
from mlops_stack.pulumi_cli import Stack


def down(stack: Stack, *, keep: Path | None = None) -> bool:
    """Destroy the stack and print what is left of it; return whether that is nothing.

    A stack that was never made, is half-made or whose cluster is dead goes down all the same.

    Args:
        stack: the stack.
        keep: folder that its models are exported to first; None destroys them with it.

    Raises:
        ArchiveError: the folder cannot take an export; nothing was changed.
        KeepError: the models could not be exported; nothing was destroyed.
        PulumiError: Pulumi failed; it has said why, and the state still holds what is left.
        SettingsError: the stack is an environment whose template's name is impossible.
    """
    started = time.monotonic()
    # Asked before the destroy: it is the configuration that tells where the stack was.
    aws_region = stack.aws_region()
    existed = stack.exists()
    if existed and keep:
        # Imported here: S3's SDK takes a moment.
        from mlops_stack.keeping.export import keep as export  # noqa: PLC0415

        export(stack, keep)
    if existed:
        with report.phase(f"pulumi destroy, stack {stack.name}"):
            stack.ensure()
            stack.run("destroy", "--yes", "--skip-preview")
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
    if existed and not found:
        # Last: a stack that is forgotten cannot be tried again.
        stack.remove()
    report.plain(f"leftovers: {len(found)} ({time.monotonic() - started:.1f} s)")
    return not found
