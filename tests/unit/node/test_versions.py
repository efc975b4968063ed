"""Several versions of Kubernetes beside each other."""

from pathlib import Path

import pytest

from mlops_infra.embedded_cluster import EmbeddedClusterProvider
from mlops_infra.node import NodeSpec
from mlops_infra.node.layout import STATE_VARIABLE, StateFolder, Tools
from mlops_infra.node.state import Phase, Record


def _program(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o755)
    return file


def test_a_version_kept_apart_comes_before_the_default_one(tmp_path: Path) -> None:
    tools = Tools(
        bin_dir=tmp_path / "bin",
        cni_dir=tmp_path / "cni",
        image_dir=tmp_path / "images",
        cache=tmp_path / "cache",
        kubernetes_root=tmp_path / "kubernetes",
    )
    usual, containerd = (_program(tmp_path / "bin" / n) for n in ("kubelet", "containerd"))
    own = _program(tmp_path / "kubernetes/1.99.0/bin/kubelet")
    image = _program(tmp_path / "kubernetes/1.99.0/images/kube-apiserver.tar")

    other = tools.of_kubernetes("1.99.0")
    assert (other.executable("kubelet"), other.executable("containerd")) == (own, containerd)
    assert other.archive("kube-apiserver") == image
    assert other.archive("etcd") == tmp_path / "images/etcd.tar"

    default = other.of_kubernetes("1.98.0")
    assert default.executable("kubelet") == usual
    assert default.archive("kube-apiserver") == tmp_path / "images/kube-apiserver.tar"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    """Return the record of a cluster that was made with an older default."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    spec = NodeSpec(name="dev", kubernetes_version="1.30.1")
    record = Record(spec=spec, network="10.210.0.0/16", owner="", phase=Phase.READY)
    folder = StateFolder.of("dev")
    folder.path.mkdir()
    record.write(folder)
    return record


@pytest.mark.parametrize(
    ("version", "refused"), [("auto", False), ("1.30.1", False), ("1.37.2", True), ("1.29.0", True)]
)
def test_another_version_never_replaces_a_cluster(
    cluster: Record, version: str, refused: bool
) -> None:
    inputs = {
        "name": cluster.spec.name,
        "kubernetes_version": version,
        "network": "auto",
        "reserved_memory": "0",
        "reserved_cpu": "0",
        "images": [],
    }
    failures = EmbeddedClusterProvider().check({**inputs, "kubernetes_version": "1.30.1"}, inputs)
    words = [failure.reason for failure in failures.failures]
    assert bool(words) is refused
    assert all(
        "`make upgrade STACK=dev`" in word and "has Kubernetes 1.30.1" in word for word in words
    )
    # A new stack's cluster has nothing to lose.
    assert not EmbeddedClusterProvider().check({}, inputs).failures
