"""`make upgrade`: all of a stack's data goes through a folder into a new cluster.

kubeadm upgrades by one minor version at a time, and a control plane cannot go back. So the cluster
is made anew, when a verified copy of what it held is on the disk. Whatever ends the command, the
data is in the old cluster, in the folder or in the new cluster, and the same command goes on.
"""

from pathlib import Path

from mlops_infra.node import cluster
from mlops_stack import gone, lasting, ownership, report, stack_images
from mlops_stack import up as updating
from mlops_stack.backup import archive, policy
from mlops_stack.backup.policy import Keep
from mlops_stack.kubernetes_version import build, held_version
from mlops_stack.pulumi_cli import Stack
from mlops_stack.upgrading import record, versions
from mlops_stack.upgrading.record import Upgrade, UpgradeError
from mlops_toolchain import layout


def upgrade(stack: Stack, *, started: float, to: str = "", keep_to: str = "") -> None:
    """Give a stack's cluster another version of Kubernetes; what KEEP=all keeps is there again.

    Args:
        stack: the stack, on an embedded cluster.
        started: `time.time()` of the command's start, toolchain included.
        to: the version; empty for the setting's, or else the newest.
        keep_to: folder for the data; empty for one in the checkout's state. It stays there.

    Raises:
        ArchiveError: the folder cannot take the data, or no longer has it.
        KeepError: the stack does not hand its data out, or could not take it back.
        NodeError: the old cluster cannot be started or deleted.
        OwnershipError: the stack's cluster belongs to somebody else; nothing was changed.
        PredictError: everything is up, but a model server does not answer.
        PulumiError: the stack is not up, or Pulumi failed.
        RepairError: what MLflow's registry says does not serve.
        SettingsError: the stack's configuration is wrong, or that version cannot be built.
        StackImagesError: an image that the stack needs could not be built.
        UpgradeError: there is nothing to upgrade, or not to that version; nothing was changed.
    """
    versions.check_provider(stack, stack.provider())
    ownership.check(stack)
    try:
        begun = _begun(stack, to)
        if begun:
            build(begun.after)
            stack_images.build_for(stack, stack.settings())
        else:
            begun = _emptied(stack, to=to, keep_to=keep_to)
        _filled(stack, begun)
        updating.up(stack, started=started)
    except BaseException:
        if left := record.read(stack.name):
            report.error(
                f"the upgrade has not ended; the data is in {left.folder}, and "
                f"`make upgrade{stack.make_argument}` goes on"
            )
        raise
    record.forget(stack.name)
    report.plain("")
    report.plain(
        f"The cluster of stack {stack.name} has Kubernetes {begun.after}. The copy of its data "
        f"from before is still in {begun.folder}: remove it when all is as you want it"
    )


def _begun(stack: Stack, to: str) -> Upgrade | None:
    """Return the upgrade to go on with; None if the old cluster is still there."""
    found = record.read(stack.name)
    if found is None:
        return None
    if held_version(stack.name) == found.before:
        # A cluster is deleted as a whole. Somebody may have worked with it since it was copied.
        report.plain(
            f"an upgrade ended before it deleted anything; its copy stays in {found.folder}"
        )
        record.forget(stack.name)
        return None
    if to and to != found.after:
        raise UpgradeError(
            f"the upgrade of stack {stack.name} to Kubernetes {found.after} has not ended: "
            f"`make upgrade{stack.make_argument}` goes on with it; then upgrade to {to}. "
            "Nothing was changed"
        )
    report.plain(
        f"going on with the upgrade from Kubernetes {found.before} to {found.after}, with the data "
        f"in {found.folder}"
    )
    return found


def _emptied(stack: Stack, *, to: str, keep_to: str) -> Upgrade:
    """Take all data out of the old cluster, and delete it."""
    from mlops_stack.backup.export import kept  # noqa: PLC0415

    settings = stack.settings()
    before, after = versions.choose(stack, settings, to)
    if settings.layers != "all":
        raise UpgradeError(
            f"stack {stack.name} has layers infra, and no data of it can be carried: `make down` "
            "and `make up` give it a new cluster, without what its buckets hold. "
            "Nothing was changed"
        )
    stack.outputs_when_up("mlflow_url")
    build(after)
    stack_images.build_for(stack, settings)
    if cluster.read(stack.name).health is not cluster.Health.HEALTHY:
        with report.phase(f"start the cluster with Kubernetes {before}"):
            # Its file may name the version that it is to get.
            build(before)
            updating.update(stack, kubernetesVersion=before)
    folder = policy.folder(stack.name, keep_to)
    again = f"`make upgrade{stack.make_argument}` tries it again"
    with kept(stack, Keep(what=policy.ALL, folder=folder), otherwise=again):
        # Whatever the export has or has not done: nothing goes unless all of it is there.
        archive.read(folder)
        begun = Upgrade(before=before, after=after, folder=folder)
        record.write(stack.name, begun)
        with report.phase(f"delete the cluster with Kubernetes {before}"):
            cluster.delete(stack.name, owner=str(layout.checkout()), stack_id=stack.known_id())
    return begun


def _filled(stack: Stack, begun: Upgrade) -> None:
    """Make the new cluster, and bring the data into it."""
    if begun.imported:
        return
    found, manifest = archive.read(Path(begun.folder))
    # The user asked for it, and the data is in the folder: this holds for lasting stacks as well.
    gone.drop(stack, allowed=frozenset({lasting.EVERYTHING}))
    updating.restored(stack, found, manifest, again=True, kubernetesVersion=begun.after)
    record.write(stack.name, begun.model_copy(update={"imported": True}))
