"""What commands read, where it is little of all that there is."""

from typing import Final

PREVIEW: Final = (
    "pulumi",
    "pulumi-python",
    "kubeflow-manifests",
    "kserve-manifests",
    "training-operator-manifests",
    "notebook-controller-manifests",
)
"""The engine, and the manifests that the program turns into resources; no node, image or data."""

READ_BY: Final = {"preview": PREVIEW}
