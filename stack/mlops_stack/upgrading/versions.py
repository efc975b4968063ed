"""Which version of Kubernetes an upgrade leads to."""

from mlops_stack import kubernetes_version
from mlops_stack.pulumi_cli import Stack
from mlops_stack.settings import AUTO_VERSION, Settings
from mlops_stack.upgrading.record import UpgradeError
from mlops_toolchain import kubernetes

_OTHERS = {
    "eks": "set kubernetesVersion, one minor version after the other, and `make up`",
    "kind": "make a new stack with `make down KEEP=all` and `make up RESTORE=folder`",
    "existing": "whoever runs the cluster upgrades it",
}


def check_provider(stack: Stack, provider: str) -> None:
    """Refuse a stack whose cluster is not the project's own.

    Raises:
        UpgradeError: it is another's.
    """
    if provider != "embedded":
        raise UpgradeError(
            f"make upgrade is for embedded clusters, and that of stack {stack.name} is of "
            f"clusterProvider {provider}: {_OTHERS[provider]} (docs/upgrading.md). "
            "Nothing was changed"
        )


def choose(stack: Stack, settings: Settings, given: str) -> tuple[str, str]:
    """Return the version that a stack's cluster has, and the one that it is to get.

    Args:
        stack: the stack, on an embedded cluster.
        settings: its settings.
        given: the version that the user names; empty for the setting's, or else the newest.

    Raises:
        UpgradeError: there is nothing to upgrade, or not to that version.
    """
    argument = stack.make_argument
    held = kubernetes_version.held_version(stack.name)
    if held is None:
        raise UpgradeError(
            f"stack {stack.name} has no cluster: `make up{argument}` makes one. Nothing was changed"
        )
    named = settings.kubernetes_version
    wanted = given or (named if named not in (AUTO_VERSION, held) else kubernetes.VERSIONS[-1])
    if wanted not in kubernetes.VERSIONS:
        raise UpgradeError(
            f"there is no Kubernetes {wanted} in this version of the project: write "
            f"TO={' or TO='.join(kubernetes.VERSIONS)}. Nothing was changed"
        )
    if wanted == held:
        raise UpgradeError(
            f"the cluster of stack {stack.name} has Kubernetes {held} already. Nothing was changed"
        )
    if _parts(wanted) < _parts(held):
        raise UpgradeError(
            f"the cluster of stack {stack.name} has Kubernetes {held}, and {wanted} is older: its "
            f"data goes into an older one by `make down{argument} KEEP=all`, `pulumi config set "
            f"kubernetesVersion {wanted} --stack {stack.name}` and `make up{argument} "
            "RESTORE=folder`. Nothing was changed"
        )
    if named not in (AUTO_VERSION, wanted):
        raise UpgradeError(
            f"{stack.file().name} names kubernetesVersion {named}, and the upgrade leads to "
            f"{wanted}: `pulumi config set kubernetesVersion {wanted} --stack {stack.name}`, then "
            "run this again. Nothing was changed"
        )
    return held, wanted


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
