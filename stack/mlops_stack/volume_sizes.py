"""Sizes of volumes that hold data: they can grow, and nothing makes them smaller."""

from typing import Any

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


def refuse_smaller(settings: Settings, resources: list[dict[str, Any]]) -> None:
    """Refuse settings that would make a volume smaller; Kubernetes would, in the middle of it all.

    Args:
        settings: what is wanted.
        resources: the stack's resources, as its state has them.

    Raises:
        SettingsError: a size is smaller than that of the volume which is there.
    """
    for resource in resources:
        if resource["type"] != _CLAIM or resource.get("delete"):
            continue
        parent = resource["urn"].split("::")[2].split("$")[-2:-1]
        if not parent or parent[0] not in _SETTINGS:
            continue
        key, field = _SETTINGS[parent[0]]
        wanted = getattr(settings, field)
        spec = resource["inputs"]["spec"]
        there = spec["resources"]["requests"]["storage"]
        if parse_memory(wanted) < parse_memory(there):
            raise SettingsError(
                f"{key} is {wanted}, and the volume has {there}: a volume never gets smaller. "
                f"Run `pulumi config set {key} {there}`, or bring the stack up anew for a smaller "
                "one (`make down KEEP=models`, then `make up RESTORE=…`)"
            )
