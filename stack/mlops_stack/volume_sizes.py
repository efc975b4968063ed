"""Sizes of volumes that hold data: some can grow, and nothing makes them smaller."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from mlops_infra.cluster_client import ask
from mlops_infra.node.spec import parse_memory
from mlops_stack.settings import Settings, SettingsError

# Which component makes the volume whose size a setting says
_SETTINGS = {
    "mlops:infra:S3Gateway": ("objectStorageSize", "object_storage_size"),
    "mlops:platform:Mlflow": ("mlflowStorageSize", "mlflow_storage_size"),
    "mlops:platform:MariaDb": ("kubeflowStorageSize", "kubeflow_storage_size"),
    "mlops:workloads:Notebook": ("notebookStorageSize", "notebook_storage_size"),
}
_CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"

if TYPE_CHECKING:
    from mlops_kubernetes.client import Client


def check(
    settings: Settings,
    resources: list[dict[str, Any]],
    *,
    kubeconfig: Callable[[], str],
    context: str = "",
) -> None:
    """Refuse sizes that a volume cannot take; Kubernetes would, in the middle of it all.

    Args:
        settings: what is wanted.
        resources: the stack's resources, as its state has them.
        kubeconfig: gives the cluster's, for questions about a volume that is to grow; empty for a
            cluster that is not there.
        context: context in it, or empty for its current one.

    Raises:
        SettingsError: a size is smaller than that of the volume which is there, or larger and the
            volume's class does not let it grow.
    """
    for key, wanted, claim in _sized(settings, resources):
        there = claim["inputs"]["spec"]["resources"]["requests"]["storage"]
        if parse_memory(wanted) < parse_memory(there):
            raise SettingsError(
                f"{key} is {wanted}, and the volume has {there}: a volume never gets smaller. "
                f"Run `pulumi config set {key} {there}`, or bring the stack up anew for a smaller "
                "one (`make down KEEP=models`, then `make up RESTORE=…`)"
            )
        if parse_memory(wanted) > parse_memory(there) and (text := kubeconfig()):
            why = _refusal(text, context, claim["outputs"]["metadata"], wanted)
            if why:
                raise SettingsError(f"{key}: {why}; nothing was changed")


def _sized(
    settings: Settings, resources: list[dict[str, Any]]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each claim whose size a setting says, with the setting's key and its value."""
    for resource in resources:
        if resource["type"] != _CLAIM or resource.get("delete"):
            continue
        parent = resource["urn"].split("::")[2].split("$")[-2:-1]
        if parent and parent[0] in _SETTINGS:
            key, field = _SETTINGS[parent[0]]
            yield key, getattr(settings, field), resource


def _refusal(kubeconfig: str, context: str, metadata: dict[str, Any], wanted: str) -> str:
    """Return why a claim cannot grow; empty if it can, or if its cluster does not answer."""
    # Imported here: only a volume that is to grow needs them.
    from mlops_kubernetes import growing  # noqa: PLC0415
    from mlops_kubernetes.client import ApiError, UnreachableError  # noqa: PLC0415
    from mlops_kubernetes.kubeconfig import KubeconfigError  # noqa: PLC0415

    path = f"/api/v1/namespaces/{metadata['namespace']}/persistentvolumeclaims/{metadata['name']}"

    async def work(client: "Client") -> str:
        return await growing.refusal(client, path, wanted)

    try:
        return ask(kubeconfig, context, work)
    except (ApiError, KubeconfigError, UnreachableError):
        return ""
