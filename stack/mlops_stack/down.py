"""`make down`: destroy the stack, then prove that nothing is left."""

import contextlib
import time

from mlops_infra.node import cluster
from mlops_infra.node.leftovers import leftovers
from mlops_stack import aws_data, full_buckets, gone, lasting, ownership, report
from mlops_stack.backup.policy import Keep
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.upgrading import record
from mlops_toolchain import layout


def down(stack: Stack, *, keep: Keep | None = None, replace: str = "") -> bool:
    """Destroy the stack and print what is left of it; return whether that is nothing.

    A stack that was never made, is half-made or whose cluster is dead goes down all the same; one
    that is not ephemeral only when it is known to lose nothing, or when the user has said so.

    Args:
        stack: the stack.
        keep: what is exported first, and where to; None destroys all of it.
        replace: `*` lets a stack that is not ephemeral lose what it holds, unlooked at.

    Raises:
        AwsDataError: AWS holds data of it that must not be deleted; nothing was changed.
        ArchiveError: the folder cannot take an export; nothing was changed.
        FullBucketsError: its buckets hold data that must not be deleted; nothing was changed.
        KeepError: the data could not be exported; nothing was destroyed.
        OwnerError: the embedded cluster of its name belongs to another checkout; it stays.
        OwnershipError: the stack's cluster belongs to somebody else; nothing was changed.
        PulumiError: Pulumi failed; it has said why, and the state still holds what is left.
        SettingsError: the stack is an environment whose template's name is impossible.
    """
    started = time.monotonic()
    # Asked before the destroy: it is the configuration that tells where the stack was.
    aws_region = stack.aws_region()
    ownership.check(stack)
    existed = stack.exists()
    resources = stack.resources() if existed else []
    # What a cluster held that is gone is gone, too: there is nothing to look into.
    there = existed and not gone.clusters(resources)
    if there and lasting.EVERYTHING not in lasting.names(replace):
        full_buckets.refuse(stack)
        aws_data.refuse(stack, aws_region)
    if there:
        _tell_losses(stack, keep)
    with _kept(stack, keep) if existed and keep else contextlib.nullcontext():
        return _destroy(
            stack,
            aws_region,
            existed=existed,
            lasts=lasting.is_lasting(resources),
            started=started,
        )


def _tell_losses(stack: Stack, keep: Keep | None) -> None:
    # Imported here: S3's SDK takes a moment.
    from mlops_stack.backup import losses  # noqa: PLC0415

    losses.tell(stack, keep)


def _kept(stack: Stack, keep: Keep) -> contextlib.AbstractContextManager[None]:
    from mlops_stack.backup.export import kept  # noqa: PLC0415

    return kept(stack, keep)


def _destroy(
    stack: Stack, aws_region: str | None, *, existed: bool, lasts: bool, started: float
) -> bool:
    failure: PulumiError | None = None
    if existed:
        try:
            with report.phase(f"pulumi destroy, stack {stack.name}"):
                stack.ensure()
                if lasts:
                    # Now that everything that can refuse has been asked.
                    stack.unprotect()
                stack.run("destroy", "--yes", "--skip-preview", **_variables(stack, aws_region))
        except PulumiError as error:
            # In AWS, what is left tells why: a VPC does not go before what others put into it.
            if aws_region is None:
                raise
            failure = error
    else:
        report.plain(f"✓ stack {stack.name} does not exist")
    found = _in_aws(stack.name, aws_region) if aws_region else _on_this_machine(stack)
    for leftover in found:
        report.plain(f"  {leftover}")
    if existed and not found and failure is None:
        # Last: a stack that is forgotten cannot be tried again.
        stack.remove()
    if not found and failure is None:
        record.forget_destroyed(stack.name)
    report.plain(f"leftovers: {len(found)} ({time.monotonic() - started:.1f} s)")
    if failure is not None:
        raise failure
    return not found


def _variables(stack: Stack, aws_region: str | None) -> dict[str, str]:
    """Return the variables of a destroy whose cluster may have vanished."""
    if aws_region is None:
        if not gone.clusters(stack.resources()):
            return {}
        what = "cluster is gone"
    else:
        # Imported here: only stacks on AWS need its SDK.
        from mlops_stack.aws_leftovers import cluster_exists  # noqa: PLC0415

        if cluster_exists(stack.name, aws_region):
            return {}
        what = "EKS cluster does not exist"
    report.plain(f"the {what}: its objects are dropped from the stack")
    return {"PULUMI_K8S_DELETE_UNREACHABLE": "true"}


def _in_aws(stack: str, region: str) -> list[str]:
    from mlops_stack.aws_leftovers import leftovers as in_aws  # noqa: PLC0415

    with report.phase(f"asking AWS, region {region}"):
        return in_aws(stack, region)


def _on_this_machine(stack: Stack) -> list[str]:
    if stack.provider() == "embedded":
        # An interrupted first `up` may have begun a cluster that no state knows.
        with report.phase("embedded cluster"):
            cluster.delete(stack.name, owner=str(layout.checkout()), stack_id=stack.known_id())
    return [str(leftover) for leftover in leftovers(stack.name)]
