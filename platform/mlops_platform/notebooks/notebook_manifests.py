"""Upstream's manifests of the notebook controller, and what this project changes in them.

Left out are Istio's parts, the leader election of a controller with one replica, and a Service
for a webhook that it does not have.
"""

from pathlib import Path
from typing import Final

from mlops_infra.pod_security import manifest_container_context, manifest_pod_context
from mlops_platform.upstream_manifests import Manifest, ManifestsError, one

NAMESPACE: Final = "notebook-controller-system"
_PREFIX: Final = "notebook-controller"
_DEFINITION: Final = "notebooks.kubeflow.org"
_KEPT: Final = (
    ("ServiceAccount", f"{_PREFIX}-service-account"),
    ("ClusterRole", f"{_PREFIX}-role"),
    ("ClusterRoleBinding", f"{_PREFIX}-role-binding"),
    ("Deployment", f"{_PREFIX}-deployment"),
)
_ISTIO: Final = "networking.istio.io"


def definition(rendered: Path) -> Manifest:
    """Return the custom resource definition of Notebooks.

    Args:
        rendered: the file of `overlays/standalone`.

    Raises:
        ManifestsError: the file lacks it.
    """
    return one(rendered, "CustomResourceDefinition", _DEFINITION)


def objects(rendered: Path, *, controller: str | None) -> list[Manifest]:
    """Return what runs the controller.

    Args:
        rendered: the file of `overlays/standalone`.
        controller: image of the project's build, whose program has its own name; None for
            upstream's.

    Raises:
        ManifestsError: the file lacks an object that this module keeps or changes.
    """
    kept = {kind: one(rendered, kind, name) for kind, name in _KEPT}
    role = kept["ClusterRole"]
    role["rules"] = [rule for rule in role["rules"] if _ISTIO not in rule["apiGroups"]]
    _deployment(kept["Deployment"], controller)
    return list(kept.values())


def _deployment(deployment: Manifest, controller: str | None) -> None:
    pod = deployment["spec"]["template"]["spec"]
    if len(pod["containers"]) != 1:
        raise ManifestsError(f"{_PREFIX} has {len(pod['containers'])} containers instead of one")
    (container,) = pod["containers"]
    pod["enableServiceLinks"] = False
    pod["securityContext"] = manifest_pod_context()
    container["securityContext"] = manifest_container_context()
    container["imagePullPolicy"] = "IfNotPresent"
    if controller:
        container["image"], container["command"] = controller, ["notebook-controller"]
    # Notebooks bring their own security context; upstream's default group would be another.
    container["env"] = [
        {"name": "USE_ISTIO", "value": "false"},
        {"name": "ADD_FSGROUP", "value": "false"},
    ]
    # Nobody reads the metrics.
    container["args"] = ["--metrics-addr=0"]
    container["readinessProbe"] |= {"initialDelaySeconds": 0, "periodSeconds": 2}
    container["livenessProbe"] |= {"initialDelaySeconds": 5, "periodSeconds": 10}
    container["resources"] = {
        "requests": {"cpu": "10m", "memory": "32Mi"},
        "limits": {"cpu": "500m", "memory": "128Mi"},
    }
    deployment["spec"]["replicas"] = 1
    deployment["spec"]["strategy"] = {"type": "Recreate"}
