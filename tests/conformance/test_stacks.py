"""Stacks of one name in one cluster: none takes another's objects, unless it was handed over."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_infra import cluster_claim
from mlops_infra.cluster_claim import Claim, ForeignClusterError
from mlops_kubernetes.operations import NO_STACK_ID
from mlops_kubernetes.values import Properties
from tests.conformance.cluster import Cluster
from tests.conformance.manifests import CONFIG_MAP, config_map
from tests.conformance.protocol import OperationFailedError, Plugin, Resource

Start = Callable[..., Plugin]


def _resource(start: Start, kubeconfig: Path, **arguments: str) -> Resource:
    plugin = start(kubeconfig=str(kubeconfig), **arguments)
    return Resource(plugin=plugin, token=CONFIG_MAP, name="conf")


def _unnamed(namespace: str, **data: str) -> dict[str, Any]:
    inputs = config_map(namespace, "conf", **data)
    del inputs["metadata"]["name"]
    return inputs


def test_the_same_resource_of_another_stack_is_not_taken_for_left_over(
    start: Start, kubeconfig: Path, cluster: Cluster, namespace: str
) -> None:
    _resource(start, kubeconfig, stackId="one").create(config_map(namespace, "conf", a="1"))
    for stranger in ({"stackId": "two"}, {}):
        with pytest.raises(OperationFailedError, match="exists already"):
            _resource(start, kubeconfig, **stranger).create(config_map(namespace, "conf", a="2"))
    # An interrupted run of the same stack goes on.
    _resource(start, kubeconfig, stackId="one").create(config_map(namespace, "conf", a="3"))
    found = cluster.must_get(f"/api/v1/namespaces/{namespace}/configmaps/conf")
    assert found["data"] == {"a": "3"}


def test_an_object_from_before_there_were_ids_keeps_its_manager_without_conflict(
    start: Start, kubeconfig: Path, cluster: Cluster, namespace: str
) -> None:
    resource = _resource(start, kubeconfig, enableConfigMapMutable="true")
    resource.create(config_map(namespace, "conf", a="1"))
    resource.plugin = start(
        kubeconfig=str(kubeconfig), enableConfigMapMutable="true", stackId="one"
    )
    resource.update(config_map(namespace, "conf", a="2"))
    found = cluster.must_get(f"/api/v1/namespaces/{namespace}/configmaps/conf")
    assert found["data"] == {"a": "2"}
    assert len({entry["manager"] for entry in found["metadata"]["managedFields"]}) == 1


@pytest.mark.parametrize("former", ["one", ""])
def test_what_was_handed_over_is_taken_up_under_the_name_that_it_has(
    start: Start, kubeconfig: Path, cluster: Cluster, namespace: str, former: str
) -> None:
    arguments = {"stackId": former} if former else {}
    first = _resource(start, kubeconfig, **arguments)
    first.create(_unnamed(namespace, old="1", both="1"))
    handed_over = {"stackId": "two", "formerStackId": former or NO_STACK_ID}
    second = _resource(start, kubeconfig, **handed_over)
    second.create(_unnamed(namespace, both="2"))
    assert second.identity == first.identity
    found = cluster.must_get(f"/api/v1/namespaces/{namespace}/configmaps/{_name(second)}")
    assert found["data"] == {"both": "2"}
    assert len({entry["manager"] for entry in found["metadata"]["managedFields"]}) == 1


def test_what_a_killed_run_left_is_taken_up_under_the_name_that_it_has(
    start: Start, kubeconfig: Path, cluster: Cluster, namespace: str
) -> None:
    lost = _resource(start, kubeconfig, stackId="one").create(_unnamed(namespace, a="1"))
    again = _resource(start, kubeconfig, stackId="one").create(_unnamed(namespace, a="2"))
    assert again.identity == lost.identity
    other = _resource(start, kubeconfig, stackId="two").create(_unnamed(namespace, a="3"))
    assert other.identity != lost.identity
    found = cluster.must_get(f"/api/v1/namespaces/{namespace}/configmaps/{_name(lost)}")
    assert found["data"] == {"a": "2"}


@pytest.mark.parametrize("former", [{}, {"formerStackId": "zero"}])
def test_a_replacement_gets_a_name_of_its_own(
    start: Start, kubeconfig: Path, namespace: str, former: dict[str, str]
) -> None:
    resource = _resource(start, kubeconfig, stackId="one", **former)
    resource.create(_unnamed(namespace, a="1"))
    # The engine asks twice: for the difference, and without the old inputs for another name.
    same = resource.check(_unnamed(namespace, a="2"))
    replacing = resource.check(_unnamed(namespace, a="2"), olds=Properties(value={}))
    assert same.value["metadata"]["name"] == _name(resource)
    assert replacing.value["metadata"]["name"] != _name(resource)


def test_stacks_without_ids_take_up_nothing_of_each_other(
    start: Start, kubeconfig: Path, namespace: str
) -> None:
    one = _resource(start, kubeconfig).create(_unnamed(namespace, a="1"))
    other = _resource(start, kubeconfig).create(_unnamed(namespace, a="2"))
    assert one.identity != other.identity


def _name(resource: Resource) -> str:
    return resource.identity.rpartition("/")[2]


def _claim(stack_id: str) -> Claim:
    return Claim(stack_id=stack_id, stack="dev", backend="file:///b", checkout="/c", host="h")


def test_a_cluster_belongs_to_the_stack_that_claims_it_first(
    kubeconfig: Path, cluster: Cluster
) -> None:
    text = kubeconfig.read_text()
    assert cluster_claim.read(text) is None
    try:
        cluster_claim.write(text, _claim("one"))
        cluster_claim.write(text, _claim("one"))
        with pytest.raises(
            ForeignClusterError, match=r"id one\) of the checkout /c on h.*file:///b"
        ):
            cluster_claim.write(text, _claim("two"))
        assert cluster_claim.read(text) == _claim("one")
        cluster_claim.write(text, _claim("two"), takeover=True)
        assert cluster_claim.read(text) == _claim("two")
        with pytest.raises(ForeignClusterError):
            cluster_claim.write(text, _claim("one"))
    finally:
        cluster.delete("/api/v1/namespaces/kube-system/configmaps/mlops-stack")


def test_a_cluster_is_known_by_the_uid_of_its_system_namespace(
    kubeconfig: Path, cluster: Cluster
) -> None:
    uid = cluster.must_get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    assert cluster_claim.identity(kubeconfig.read_text()) == uid
