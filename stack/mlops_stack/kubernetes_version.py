"""The Kubernetes version that a stack's own cluster has, and its programs."""

import subprocess
import sys

from mlops_infra.node.errors import NodeError
from mlops_infra.node.layout import StateFolder
from mlops_infra.node.state import read_record
from mlops_stack.settings import AUTO_VERSION, Settings, SettingsError
from mlops_toolchain import kubernetes
from mlops_toolchain.errors import ToolchainError


class KubernetesVersionError(SettingsError):
    """There is no such version, or it cannot be built; nothing was changed."""


def held_version(name: str) -> str | None:
    """Return the version of a stack's embedded cluster, None if it has none."""
    try:
        record = read_record(StateFolder.of(name))
    except NodeError:
        return None  # who needs the record says what is wrong with it
    return record.spec.kubernetes_version if record else None


def build_for(name: str, settings: Settings) -> None:
    """Build the Kubernetes that a stack's cluster has or asks for, if it is not the default one.

    Raises:
        KubernetesVersionError: it cannot be built.
    """
    if settings.cluster_provider == "embedded":
        build(wanted_version(name, settings))


def wanted_version(name: str, settings: Settings) -> str:
    """Return the version that a stack's embedded cluster has or asks for."""
    named = None if settings.kubernetes_version == AUTO_VERSION else settings.kubernetes_version
    return held_version(name) or named or kubernetes.DEFAULT


def artefact_names(version: str) -> tuple[str, ...]:
    """Return what a node of a version needs beside the toolchain's usual artefacts.

    Raises:
        KubernetesVersionError: the toolchain makes no such version.
    """
    try:
        return kubernetes.artefact_names(version)
    except ToolchainError as error:
        raise KubernetesVersionError(str(error)) from error


def build(version: str) -> None:
    """Build a version of Kubernetes, if it is not the default one, which is there.

    Raises:
        KubernetesVersionError: it cannot be built.
    """
    names = artefact_names(version)
    if not names:
        return
    command = [sys.executable, "-m", "mlops_toolchain", "build", *names]
    if subprocess.run(command, check=False).returncode:
        raise KubernetesVersionError(
            f"Kubernetes {version} could not be built; the toolchain has said why"
        )
