"""A cluster that was deleted below its stack."""

from typing import Any

import pytest

from mlops_infra.node import ClusterStatus, Health, cluster
from mlops_stack import gone
from mlops_stack.lasting import DataLossError
from mlops_stack.settings import Settings

PREFIX = "urn:pulumi:t::mlops-platform::"
STACK = f"{PREFIX}pulumi:pulumi:Stack::mlops-platform-t"
CLUSTER = f"{PREFIX}pulumi-python:dynamic/mlops:EmbeddedCluster::cluster-node"
COMPONENT = f"{PREFIX}mlops:infra:Cluster::cluster"
PROVIDER = f"{PREFIX}mlops:infra:Cluster$pulumi:providers:kubernetes::cluster-kubernetes"
OBJECT = f"{PREFIX}kubernetes:core/v1:Namespace::s3-namespace"
INSIDE = f"{PREFIX}kubernetes:core/v1:Secret::s3-root"
DYNAMIC = f"{PREFIX}pulumi:providers:pulumi-python::default"
IDENTITY = f"{PREFIX}pulumi-python:dynamic/mlops:StackIdentity::identity"


def _resource(urn: str, **more: Any) -> dict[str, Any]:
    return {"urn": urn, "type": urn.split("::")[2].rpartition("$")[2], "parent": STACK, **more}


RESOURCES = [
    {"urn": STACK, "type": "pulumi:pulumi:Stack"},
    _resource(DYNAMIC),
    _resource(IDENTITY, id="abc", provider=f"{DYNAMIC}::1"),
    _resource(COMPONENT),
    _resource(CLUSTER, id="t", provider=f"{DYNAMIC}::1", dependencies=[IDENTITY]),
    _resource(PROVIDER, parent=COMPONENT, propertyDependencies={"kubeconfig": [CLUSTER]}),
    _resource(OBJECT, provider=f"{PROVIDER}::2"),
    _resource(INSIDE, deletedWith=CLUSTER, propertyDependencies={"metadata": None}),
]


class Stack:
    """A stack of that state, which notes what is put in its place."""

    name = "t"
    make_argument = " STACK=t"

    def __init__(self, *, ephemeral: bool) -> None:
        self.ephemeral = ephemeral
        self.imported: list[dict[str, Any]] = []

    def export(self) -> dict[str, Any]:
        return {
            "version": 3,
            "deployment": {"resources": RESOURCES, "pending_operations": [{"type": "creating"}]},
        }

    def settings(self) -> Settings:
        return Settings(ephemeral=self.ephemeral)

    def import_state(self, exported: dict[str, Any]) -> None:
        self.imported.append(exported["deployment"])


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch) -> list[Health]:
    found = [Health.ABSENT]
    monkeypatch.setattr(cluster, "read", lambda name: ClusterStatus(name=name, health=found[0]))
    return found


def test_what_was_in_the_cluster_is_dropped_and_the_rest_stays(health: list[Health]) -> None:
    stack = Stack(ephemeral=True)
    gone.drop(stack)  # type: ignore[arg-type]
    (deployment,) = stack.imported
    assert [r["urn"] for r in deployment["resources"]] == [STACK, DYNAMIC, IDENTITY, COMPONENT]
    assert deployment["pending_operations"] == []


@pytest.mark.parametrize("there", [Health.HEALTHY, Health.STOPPED, Health.BROKEN])
def test_a_cluster_that_is_there_stays_in_the_state(health: list[Health], there: Health) -> None:
    health[0] = there
    stack = Stack(ephemeral=True)
    gone.drop(stack)  # type: ignore[arg-type]
    assert stack.imported == []


def test_a_lasting_stack_is_asked_first(health: list[Health]) -> None:
    stack = Stack(ephemeral=False)
    with pytest.raises(DataLossError, match="make up STACK=t REPLACE=cluster-node"):
        gone.drop(stack)  # type: ignore[arg-type]
    assert stack.imported == []
    gone.drop(stack, allowed=frozenset({"cluster-node"}))  # type: ignore[arg-type]
    assert len(stack.imported) == 1
