"""The embedded cluster as a resource: what it asks of the node's module, and what it concludes."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from mlops_infra import embedded_cluster
from mlops_infra.embedded_cluster import EmbeddedClusterProvider
from mlops_infra.node import ClusterInfo, ClusterStatus, Health, NodeSpec, cluster
from mlops_infra.node.errors import OwnerError
from mlops_toolchain import layout

INFO = ClusterInfo(
    name="dev",
    kubernetes_version="1.34.4",
    kubeconfig="apiVersion: v1",
    api_url="https://10.210.255.254:6443",
    node_name="dev",
    node_address="10.210.255.254",
    host_address="10.210.255.253",
    network="10.210.0.0/16",
    pod_subnet="10.210.0.0/17",
    service_subnet="10.210.128.0/18",
    storage_class="local-path",
    kubeconfig_path="/k",
    state_folder="/s",
)
INPUTS = {
    "name": "dev",
    "stack_id": "ours",
    "kubernetes_version": "1.34.4",
    "network": "auto",
    "reserved_memory": "512Mi",
    "reserved_cpu": "200m",
    "images": ["docker.io/local/mlflow:1-aaaaaaaa"],
}
STATE = {
    **INPUTS,
    "kubeconfig": INFO.kubeconfig,
    "node_address": INFO.node_address,
    "resolved_network": INFO.network,
}


@dataclass
class Node:
    """Answers as the node's module does, and notes what it was asked."""

    health: Health = Health.HEALTHY
    outdated: tuple[str, ...] = ()
    stack_id: str = "ours"
    created: list[tuple[NodeSpec, str, str]] = field(default_factory=list)
    deleted: list[tuple[str, str, str]] = field(default_factory=list)

    def create(self, spec: NodeSpec, *, owner: str, stack_id: str, progress: Any) -> ClusterInfo:
        progress("images", 1.5)
        self.created.append((spec, owner, stack_id))
        self.health = Health.HEALTHY
        return INFO

    def read(self, name: str) -> ClusterStatus:
        return ClusterStatus(
            name=name, health=self.health, stack_id=self.stack_id, outdated=self.outdated
        )

    def delete(self, name: str, *, owner: str, stack_id: str) -> None:
        self.deleted.append((name, owner, stack_id))


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    found = Node()
    for name in ("create", "read", "delete"):
        monkeypatch.setattr(cluster, name, getattr(found, name))
    # The archives are the toolchain's; whether they are current has its own test.
    monkeypatch.setattr(embedded_cluster, "_check_images", lambda _references: None)
    return found


def test_what_is_outdated_in_a_healthy_node_is_an_update(node: Node) -> None:
    node.outdated = ("certificates",)
    result = EmbeddedClusterProvider().diff("dev", STATE, INPUTS)
    assert (result.changes, result.replaces) == (True, [])


def test_create_boots_what_was_asked_for(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    result = EmbeddedClusterProvider().create(INPUTS)
    assert result.id == "dev"
    assert result.outs == STATE
    ((spec, owner, stack_id),) = node.created
    assert spec == NodeSpec(
        name="dev",
        kubernetes_version="1.34.4",
        reserved_memory="512Mi",
        reserved_cpu="200m",
        images=("mlflow",),
    )
    assert (owner, stack_id) == (str(layout.checkout()), "ours")
    assert capsys.readouterr().out == "cluster dev: images 1.5 s\n"


@pytest.mark.parametrize(
    ("health", "changes", "expected"),
    [
        (Health.HEALTHY, {}, (False, [])),
        (Health.STOPPED, {}, (True, [])),
        (Health.BROKEN, {}, (True, [])),
        (Health.ABSENT, {}, (True, ["name"])),
        (Health.HEALTHY, {"images": ["docker.io/local/mlflow:2-bbbbbbbb"]}, (True, [])),
        (Health.HEALTHY, {"reserved_memory": "1Gi"}, (True, [])),
        (Health.HEALTHY, {"network": "10.220.0.0/16"}, (True, ["network"])),
        (Health.HEALTHY, {"network": "10.210.0.0/16"}, (True, [])),
        (Health.STOPPED, {"kubernetes_version": "1.35.0"}, (True, ["kubernetes_version"])),
    ],
)
def test_diff_looks_at_inputs_and_at_the_node(
    node: Node, health: Health, changes: dict[str, Any], expected: tuple[bool, list[str]]
) -> None:
    node.health = health
    result = EmbeddedClusterProvider().diff("dev", STATE, {**INPUTS, **changes})
    assert (result.changes, result.replaces) == expected
    # Two clusters of one name cannot share a state folder.
    assert result.delete_before_replace is True
    assert not node.created


def test_update_starts_a_stopped_node_and_then_nothing_differs(node: Node) -> None:
    node.health = Health.STOPPED
    provider = EmbeddedClusterProvider()
    outs = provider.update("dev", STATE, INPUTS).outs
    assert [spec.name for spec, *_ in node.created] == ["dev"]
    assert provider.diff("dev", outs, INPUTS).changes is False


@pytest.mark.parametrize("health", list(Health))
def test_read_drops_only_what_is_absent(node: Node, health: Health) -> None:
    node.health = health
    result = EmbeddedClusterProvider().read("dev", STATE)
    expected = ("", {}) if health is Health.ABSENT else ("dev", STATE)
    assert (result.id, result.outs) == expected


def test_delete_goes_to_the_node_whatever_its_health(node: Node) -> None:
    node.health = Health.BROKEN
    EmbeddedClusterProvider().delete("dev", STATE)
    assert node.deleted == [("dev", str(layout.checkout()), "ours")]


def test_a_state_without_an_id_is_updated_not_replaced(node: Node) -> None:
    node.stack_id = ""
    without = {key: value for key, value in STATE.items() if key != "stack_id"}
    result = EmbeddedClusterProvider().diff("dev", without, INPUTS)
    assert (result.changes, result.replaces) == (True, [])
    assert EmbeddedClusterProvider().update("dev", without, INPUTS).outs == STATE
    EmbeddedClusterProvider().delete("dev", without)
    assert node.deleted == [("dev", str(layout.checkout()), "")]


def test_a_cluster_that_is_another_stacks_by_now_is_refused_before_anything(node: Node) -> None:
    node.stack_id = "another's"
    with pytest.raises(OwnerError, match="belongs to another stack"):
        EmbeddedClusterProvider().diff("dev", STATE, INPUTS)
    assert not node.created


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Dev"}, "cluster name 'Dev' is not usable"),
        ({"network": "10.0.0.0/24"}, "a cluster needs /16 to /20"),
        ({"reserved_cpu": "1Gi"}, "'1Gi' is not a CPU quantity"),
        ({"images": ["a/x:1", "b/x:2"]}, "images lists the same image twice"),
    ],
)
def test_check_refuses_with_the_specs_own_words(changes: dict[str, Any], message: str) -> None:
    (failure,) = EmbeddedClusterProvider().check({}, {**INPUTS, **changes}).failures
    assert message in failure.reason


def test_check_accepts_the_defaults() -> None:
    assert EmbeddedClusterProvider().check({}, INPUTS).failures == []
