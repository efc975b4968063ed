"""Rendered manifests as resources of the program, one each.

The YAML components of the Kubernetes provider expand manifests inside the provider, which a preview
without a cluster skips: the objects would be in no first preview, and no policy would see them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra import keys_digest

_CLASSES: Final[Mapping[tuple[str, str], Callable[..., pulumi.Resource]]] = {
    ("v1", "ConfigMap"): kubernetes.core.v1.ConfigMap,
    ("v1", "Service"): kubernetes.core.v1.Service,
    ("v1", "ServiceAccount"): kubernetes.core.v1.ServiceAccount,
    ("apps/v1", "Deployment"): kubernetes.apps.v1.Deployment,
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): kubernetes.rbac.v1.ClusterRole,
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): kubernetes.rbac.v1.ClusterRoleBinding,
    ("rbac.authorization.k8s.io/v1", "Role"): kubernetes.rbac.v1.Role,
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): kubernetes.rbac.v1.RoleBinding,
    ("scheduling.k8s.io/v1", "PriorityClass"): kubernetes.scheduling.v1.PriorityClass,
    (
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
    ): kubernetes.admissionregistration.v1.MutatingWebhookConfiguration,
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
    ): kubernetes.admissionregistration.v1.ValidatingWebhookConfiguration,
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicy",
    ): kubernetes.admissionregistration.v1.ValidatingAdmissionPolicy,
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicyBinding",
    ): kubernetes.admissionregistration.v1.ValidatingAdmissionPolicyBinding,
    (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
    ): kubernetes.apiextensions.v1.CustomResourceDefinition,
}
_CAPITAL = re.compile(r"(?<=[a-z])([A-Z])")


class UnknownKindError(Exception):
    """A manifest is of a kind that this module has no class for."""


def register(
    prefix: str,
    manifests: Sequence[Mapping[str, Any]],
    opts: pulumi.ResourceOptions,
    *,
    digests: Mapping[str, pulumi.Input[str]] | None = None,
) -> list[pulumi.Resource]:
    """Register each manifest as `PREFIX-KIND-NAME`.

    Args:
        prefix: begin of the resources' names.
        manifests: objects as in YAML.
        opts: options of each.
        digests: of Secrets that are no manifests, by name: Pods that read one start anew with other
            keys.

    Raises:
        UnknownKindError: before anything is registered.
    """
    for manifest in manifests:
        if (manifest["apiVersion"], manifest["kind"]) not in _CLASSES:
            raise UnknownKindError(
                f"{manifest['apiVersion']} {manifest['kind']} {manifest['metadata']['name']}: "
                "add its class to manifest_objects.py"
            )
    return [
        _CLASSES[manifest["apiVersion"], manifest["kind"]](
            f"{prefix}-{manifest['kind'].lower()}-{manifest['metadata']['name']}",
            **_arguments(keys_digest.marked(manifest, digests or {})),
            opts=opts,
        )
        for manifest in manifests
    ]


def _arguments(manifest: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        _CAPITAL.sub(r"_\1", key).lower(): value
        for key, value in manifest.items()
        if key not in ("apiVersion", "kind", "status")
    }
    if manifest["kind"] == "CustomResourceDefinition":
        found["spec"] = _without_descriptions(found["spec"])
    # Generators leave it behind, and the API server sets it.
    found["metadata"] = {k: v for k, v in found["metadata"].items() if k != "creationTimestamp"}
    return found


def _without_descriptions(schema: Any) -> Any:
    """Return a schema that validates the same.

    Where a definition holds the whole schema of Pods, a third of it is prose, which an update would
    carry through every plugin and write into its state again and again.
    """
    if isinstance(schema, Mapping):
        # A field may have that name too; its schema is no text.
        return {
            key: _without_descriptions(value)
            for key, value in schema.items()
            if not (key == "description" and isinstance(value, str))
        }
    if isinstance(schema, list):
        return [_without_descriptions(each) for each in schema]
    return schema
