"""Clusters that the stack does not build itself: kind through its CLI, and existing ones."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_infra import kind_cluster
from mlops_infra.existing_cluster import KubeconfigError, _anchored, existing_cluster
from mlops_infra.kind_cluster import KindClusterProvider, KindError
from mlops_toolchain import images, layout

ADDRESS = "172.18.0.2"
# Plays `kind`, `docker` and `kubectl`: notes its arguments, and keeps in files which clusters there
# are, whether the node runs, its address and its label.
STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >> "$LOG"
case "$(basename "$0") $1 $2" in
  "kind get clusters") cat "$HELD/clusters" 2>/dev/null || true ;;
  "kind create cluster")
    [ -z "$FAIL" ] || { echo "no engine" >&2; exit 1; }
    sed -n 's/.*"mlops-platform.stack-id": "\\([^"]*\\)".*/\\1/p' > "$HELD/label"
    echo "$4" >> "$HELD/clusters"; echo true > "$HELD/runs" ;;
  "kind get kubeconfig") echo "apiVersion: v1" ;;
  "kind delete cluster") : > "$HELD/clusters" ;;
  "docker inspect "*)
    echo '[{"State": {"Running": '"$(cat "$HELD/runs")"'}, "NetworkSettings":'
    echo '{"Networks": {"kind": {"IPAddress": "'"$(cat "$HELD/address")"'"}}}}]' ;;
  "docker ps "*) echo 0a1b ;;
  "docker start "*) echo true > "$HELD/runs" ;;
  kubectl*)
    case "$*" in
      *"label nodes"*) echo "$*" | sed 's/.*stack-id=//' > "$HELD/label" ;;
      *"get nodes"*) echo '{"mlops-platform/stack-id":"'"$(cat "$HELD/label")"'"}' ;;
    esac ;;
esac
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("kind", "docker", "kubectl"):
        file = tmp_path / name
        file.write_text(STAND_IN)
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("HELD", str(tmp_path))
    monkeypatch.setenv("FAIL", "")
    monkeypatch.setattr(layout, "bin_dir", lambda: tmp_path)
    (tmp_path / "address").write_text(ADDRESS)
    return tmp_path / "log"


def _props() -> dict[str, Any]:
    return {"name": "dev", "stack_id": "ours", "images": [images.reference("mlflow")]}


def test_kind_creates_loads_images_and_gives_the_nodes_address(log: Path) -> None:
    outs = KindClusterProvider().create(_props()).outs
    assert outs["node_address"] == "172.18.0.2"
    assert outs["kubeconfig"].startswith("apiVersion")
    calls = log.read_text().splitlines()
    assert any(c.startswith("kind create cluster --name dev") for c in calls)
    assert any("load image-archive" in c and c.endswith("mlflow.tar --name dev") for c in calls)


def test_kind_goes_on_with_a_cluster_that_bears_the_stacks_id(log: Path) -> None:
    KindClusterProvider().create(_props())
    KindClusterProvider().create(_props())
    assert log.read_text().count("create cluster") == 1


@pytest.mark.parametrize("label", ["", "another's"])
def test_kind_never_adopts_somebody_elses_cluster(log: Path, tmp_path: Path, label: str) -> None:
    KindClusterProvider().create(_props())
    (tmp_path / "label").write_text(label)
    with pytest.raises(KindError, match="that this stack has not made"):
        KindClusterProvider().create(_props())


def test_kind_never_deletes_what_somebody_else_made_in_its_place(log: Path, tmp_path: Path) -> None:
    props = KindClusterProvider().create(_props()).outs
    (tmp_path / "label").write_text("another's")
    for act in (
        lambda: KindClusterProvider().delete("dev", props),
        lambda: KindClusterProvider().diff("dev", props, _props()),
    ):
        with pytest.raises(KindError, match="that this stack has not made"):
            act()
    assert "delete cluster" not in log.read_text()


def test_kind_writes_no_kubeconfig_of_the_users(log: Path) -> None:
    props = KindClusterProvider().create(_props()).outs
    KindClusterProvider().delete("dev", props)
    writing = [c for c in log.read_text().splitlines() if c.startswith(("kind c", "kind d"))]
    assert len(writing) == 2
    assert all("--kubeconfig /" in call for call in writing)


def test_kind_starts_a_cluster_that_was_stopped(log: Path, tmp_path: Path) -> None:
    provider = KindClusterProvider()
    props = provider.create(_props()).outs
    (tmp_path / "runs").write_text("false")
    assert (provider.diff("dev", props, _props()).changes, props["node_address"]) == (True, ADDRESS)
    provider.update("dev", props, _props())
    assert "docker start 0a1b" in log.read_text()
    assert provider.diff("dev", props, _props()).changes is False


def test_kind_sees_another_address(log: Path, tmp_path: Path) -> None:
    provider = KindClusterProvider()
    props = provider.create(_props()).outs
    (tmp_path / "address").write_text("172.18.0.9")
    found = provider.diff("dev", props, _props())
    assert (found.changes, found.replaces, found.stables) == (True, [], [])
    assert provider.update("dev", props, _props()).outs["node_address"] == "172.18.0.9"
    assert provider.read("dev", props).outs["node_address"] == "172.18.0.9"


def test_a_kind_cluster_without_an_id_gets_the_stacks(log: Path, tmp_path: Path) -> None:
    provider = KindClusterProvider()
    props = provider.create(_props()).outs
    (tmp_path / "label").write_text("")
    without = {key: value for key, value in props.items() if key != "stack_id"}
    found = provider.diff("dev", without, _props())
    assert (found.changes, found.replaces) == (True, [])
    provider.update("dev", without, _props())
    assert (tmp_path / "label").read_text() == "ours\n"


def test_kind_finds_a_cluster_that_is_gone(log: Path) -> None:
    provider = KindClusterProvider()
    props = provider.create(_props()).outs
    assert provider.diff("dev", props, _props()).changes is False
    assert provider.read("dev", props).id == "dev"
    provider.delete("dev", props)
    assert provider.read("dev", props).id == ""
    found = provider.diff("dev", props, _props())
    # Replaced, not updated: what the stack had in it is gone as well.
    assert (found.changes, found.replaces, found.delete_before_replace) == (True, ["name"], True)


def test_kind_loads_other_images_into_the_same_cluster(log: Path) -> None:
    provider = KindClusterProvider()
    props = provider.create(_props()).outs
    news = {**_props(), "images": [images.reference("versitygw")]}
    found = provider.diff("dev", props, news)
    assert (found.changes, found.replaces) == (True, [])
    log.write_text("")
    assert provider.update("dev", props, news).outs["images"] == news["images"]
    calls = log.read_text()
    assert "versitygw.tar --name dev" in calls
    assert "create cluster" not in calls


def test_another_name_is_another_cluster(log: Path) -> None:
    provider = KindClusterProvider()
    props = provider.create(_props()).outs
    assert provider.diff("dev", props, {**_props(), "name": "b"}).replaces == ["name"]


def test_kind_deletes_by_name(log: Path) -> None:
    KindClusterProvider().delete("dev", _props())
    assert "kind delete cluster --name dev --kubeconfig /" in log.read_text()


def test_a_missing_docker_names_the_remedy(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The stand-in for kind alone, with what its script calls.
    (tmp_path / "docker").unlink()
    for tool in ("cat", "basename"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KindError, match="docker is not on PATH; install it"):
        KindClusterProvider().create(_props())


def test_a_kind_that_hangs_is_ended(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind_cluster, "_TIMEOUT_SECONDS", 0.3)
    (log.parent / "kind").write_text("#!/bin/sh\nexec sleep 30\n")
    with pytest.raises(KindError, match=r"did not end within 0\.3 s"):
        KindClusterProvider().create(_props())


def test_kinds_own_words_are_in_the_error(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIL", "yes")
    with pytest.raises(KindError, match="no engine"):
        KindClusterProvider().create(_props())


def test_a_missing_kind_names_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KindError, match="pulumi config set clusterProvider embedded"):
        KindClusterProvider().create(_props())


def test_a_kubeconfig_that_is_not_there_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="pulumi config set kubeconfig FILE"):
        existing_cluster(str(tmp_path / "none"), context="", node_address="")


def test_a_wrong_context_lists_the_right_ones(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(
        json.dumps(
            {
                "contexts": [{"name": "staging", "context": {"cluster": "c"}}],
                "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1"}}],
            }
        )
    )
    with pytest.raises(KubeconfigError, match="it has staging"):
        existing_cluster(str(file), context="production", node_address="")


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"",
        b"text",
        b"{",
        b"\xff\xfe\x00",
        b"contexts: null\nclusters: []",
        b"contexts: [{name: a, context: {}}]\nclusters: []",
        b"contexts: [{name: a}]\nclusters: []",
    ],
)
def test_what_is_no_kubeconfig_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config"
    file.write_bytes(content)
    with pytest.raises(KubeconfigError, match="not a kubeconfig"):
        existing_cluster(str(file), context="", node_address="")


def _kubeconfig(tmp_path: Path, cluster: dict[str, str]) -> str:
    file = tmp_path / "config"
    file.write_text(
        json.dumps(
            {
                "current-context": "a",
                "contexts": [{"name": "a", "context": {"cluster": "c"}}],
                "clusters": [{"name": "c", "cluster": cluster}],
            }
        )
    )
    return str(file)


def test_a_context_whose_cluster_has_no_server_is_not_usable(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="no usable context 'a'; it has a"):
        existing_cluster(_kubeconfig(tmp_path, {}), context="", node_address="10.0.0.9")


def test_a_server_without_an_address_needs_the_nodes(tmp_path: Path) -> None:
    path = _kubeconfig(tmp_path, {"server": "10.0.0.1:6443"})
    with pytest.raises(KubeconfigError, match="pulumi config set nodeAddress ADDRESS"):
        existing_cluster(path, context="", node_address="")
    assert existing_cluster(path, context="", node_address="10.0.0.9").owned is None


def test_relative_paths_of_a_kubeconfig_are_those_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    kubeconfig = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me"}}],
        "clusters": [
            {
                "name": "it",
                "cluster": {"server": "https://k.invalid", "certificate-authority": "ca.crt"},
            }
        ],
        "users": [
            {
                "name": "me",
                "user": {
                    "client-certificate": "/elsewhere/me.crt",
                    "client-key": "keys/me.key",
                    "exec": {"command": "./bin/token"},
                },
            },
            {"name": "you", "user": {"exec": {"command": "aws"}}},
        ],
    }
    file = tmp_path / "configs" / "config"
    file.write_text(json.dumps(kubeconfig))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "configs"
    anchored = yaml.safe_load(_anchored(file.read_text(), folder))
    assert anchored["clusters"][0]["cluster"]["certificate-authority"] == str(folder / "ca.crt")
    me, you = (entry["user"] for entry in anchored["users"])
    assert me["client-certificate"] == "/elsewhere/me.crt"
    assert me["client-key"] == str(folder / "keys/me.key")
    assert me["exec"]["command"] == str(folder / "bin/token")
    assert you["exec"]["command"] == "aws"
    # One without relative paths stays as it is, so that no stack sees a change.
    text = "clusters: []\nusers: []  # mine\n"
    assert _anchored(text, folder) == text
