"""What every pod of ours sets to pass the Pod Security Standard `restricted`."""

from typing import Any, Final

import pulumi_kubernetes as kubernetes

# The user of distroless images; the number means nothing on the node.
USER: Final = 65532

RESTRICTED_CONTAINER: Final[kubernetes.core.v1.SecurityContextArgsDict] = {
    "allow_privilege_escalation": False,
    "read_only_root_filesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def restricted_pod() -> kubernetes.core.v1.PodSpecArgsDict:
    """Return the pod's half: an unprivileged user, and no account of the Kubernetes API."""
    return {
        "automount_service_account_token": False,
        "enable_service_links": False,
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": USER,
            "run_as_group": USER,
            "fs_group": USER,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "containers": [],
    }


def manifest_pod_context() -> dict[str, Any]:
    """Return a Pod's `securityContext` as manifests write it, without a group of its volumes."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def manifest_container_context() -> dict[str, Any]:
    """Return a container's `securityContext` as manifests write it."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
