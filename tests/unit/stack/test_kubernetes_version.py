"""Which Kubernetes a stack's cluster gets, and when the toolchain makes it."""

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlops_infra.node import NodeSpec
from mlops_infra.node.layout import STATE_VARIABLE, StateFolder
from mlops_infra.node.state import Phase, Record
from mlops_stack import kubernetes_version, settings
from mlops_stack.kubernetes_version import KubernetesVersionError
from mlops_toolchain import kubernetes

OTHER = next(v for v in kubernetes.VERSIONS if v != kubernetes.DEFAULT)


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        commands.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def _cluster(version: str) -> None:
    folder = StateFolder.of("dev")
    folder.path.mkdir()
    spec = NodeSpec(name="dev", kubernetes_version=version)
    Record(spec=spec, network="10.210.0.0/16", owner="", phase=Phase.READY).write(folder)


@pytest.mark.parametrize(
    ("held", "config", "expected"),
    [
        (None, {}, kubernetes.DEFAULT),
        (None, {"kubernetesVersion": OTHER}, OTHER),
        (OTHER, {}, OTHER),
        (kubernetes.DEFAULT, {}, kubernetes.DEFAULT),
        (OTHER, {"clusterProvider": "kind"}, kubernetes.DEFAULT),
    ],
)
def test_only_the_version_that_a_cluster_needs_is_made(
    built: list[list[str]], held: str | None, config: dict[str, str], expected: str
) -> None:
    if held:
        _cluster(held)
    kubernetes_version.build_for("dev", settings.parse(config))
    names = [name for command in built for name in command[4:]]
    assert tuple(names) == kubernetes.artefact_names(expected)


def test_a_version_that_is_not_made_is_named_with_those_that_are() -> None:
    with pytest.raises(
        KubernetesVersionError, match=r"Kubernetes 1\.2\.3 is none .* there are 1\.34\.4, 1\.37"
    ):
        kubernetes_version.build_for("dev", settings.parse({"kubernetesVersion": "1.2.3"}))
