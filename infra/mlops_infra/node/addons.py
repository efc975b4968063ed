"""What every cluster gets beside its control plane: names of services, and volumes on demand."""

import hashlib
import string
from importlib import resources

from mlops_infra.node.images import BaseImages
from mlops_infra.node.spec import Subnets

STORAGE_CLASS = "local-path"
_MANIFESTS = (
    "default-service-account.yaml",
    "kubeadm-bindings.yaml",
    "coredns.yaml",
    "local-path-provisioner.yaml",
)


def manifests(images: BaseImages, subnets: Subnets, volumes: str) -> str:
    """CoreDNS and the provisioner of local volumes, as one YAML text to apply.

    `volumes` is the folder of the node that holds the volumes.
    """
    values = {
        "coredns": images.coredns,
        "provisioner": images.provisioner,
        "busybox": images.busybox,
        "dns_address": str(subnets.dns_address),
        "volumes": volumes,
    }
    return "\n---\n".join(string.Template(text).substitute(values) for text in _texts())


def revision() -> str:
    """What changes with the manifests: a running cluster with another one gets them again."""
    return hashlib.sha256("\n".join(_texts()).encode()).hexdigest()[:16]


def _texts() -> list[str]:
    folder = resources.files("mlops_infra.node") / "manifests"
    return [(folder / name).read_text() for name in _MANIFESTS]
