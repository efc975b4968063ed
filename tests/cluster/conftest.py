"""Real clusters: root and the toolchain's results are needed, and nothing is left behind."""

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_infra.node import Tools, delete
from mlops_infra.node.images import base_archives
from mlops_infra.node.preflight import check
from mlops_infra.node.spec import NodeSpec


@pytest.fixture(scope="session", autouse=True)
def machine() -> None:
    """Skip, saying why, on a machine that cannot carry a cluster."""
    if os.geteuid() != 0:
        pytest.skip("a cluster needs root")
    check(NodeSpec(name="preflight"), Tools.default())


@pytest.fixture(scope="module")
def new_name() -> Iterator[Callable[[], str]]:
    """Names of clusters that are deleted when the module's tests have ended."""
    names: list[str] = []

    def make() -> str:
        names.append(f"test-{secrets.token_hex(3)}")
        return names[-1]

    yield make
    for name in names:
        delete(name)


class Kubectl:
    """kubectl with a cluster's administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        self._argv = [str(Tools.default().executable("kubectl")), f"--kubeconfig={kubeconfig}"]

    def __call__(self, *words: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            [*self._argv, *words], input=stdin, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout


@pytest.fixture
def kubectl() -> Callable[[str], Kubectl]:
    """kubectl for the kubeconfig at a path."""
    return lambda path: Kubectl(Path(path))


@pytest.fixture(scope="session")
def busybox() -> str:
    """Reference of an image that every node holds."""
    archives = base_archives(Tools.default())
    return next(entry.reference for entry in archives if "busybox" in entry.reference)
