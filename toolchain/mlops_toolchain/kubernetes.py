"""The versions of Kubernetes that the toolchain makes: the one place that names them."""

from mlops_toolchain.errors import ToolchainError

VERSIONS = ("1.34.4", "1.37.2")
"""All of them, oldest first. Those beside the default are made when a cluster asks for one."""

DEFAULT = VERSIONS[-1]
"""What a new cluster gets."""

EKS_DEFAULT = "1.35"
"""What a new cluster on EKS gets, which offers a version some months after its release."""

CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def minor(version: str) -> str:
    """Return a version without its patch: 1.34 of 1.34.4."""
    return version.rpartition(".")[0]


def artefact_names(version: str) -> tuple[str, ...]:
    """Return what a node of a version needs beside the artefacts that are always made.

    Args:
        version: one of `VERSIONS`, or nothing for the default, which needs nothing more.

    Raises:
        ToolchainError: the toolchain makes no such version.
    """
    if version and version not in VERSIONS:
        raise ToolchainError(
            f"Kubernetes {version} is none that this version of the project makes: there are "
            f"{', '.join(VERSIONS)}"
        )
    if version in ("", DEFAULT):
        return ()
    return (programs(version), *(f"image-{image(name, version)}" for name in CONTROL_PLANE))


def programs(version: str) -> str:
    """Return the name of the artefact with a version's programs."""
    return "kubernetes" if version == DEFAULT else f"kubernetes-{version}"


def image(name: str, version: str) -> str:
    """Return the name of a version's image of one program of the control plane."""
    return name if version == DEFAULT else f"{name}-{version}"


def folder(version: str) -> str:
    """Return the folder of the view that holds a version other than the default."""
    return f"kubernetes/{version}"
