"""Differences: changed paths, and what of it replaces the object."""

import copy
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from mlops_kubernetes.paths import parse
from mlops_kubernetes.values import UNKNOWN, Properties
from tests.conformance.cluster import Cluster
from tests.conformance.conftest import Make
from tests.conformance.manifests import (
    CONFIG_MAP,
    DEPLOYMENT,
    config_map,
    job,
    metadata,
    pod_spec,
    workload,
)

NONE, SOME = provider_pb2.DiffResponse.DIFF_NONE, provider_pb2.DiffResponse.DIFF_SOME


def existing(make: Make, token: str, inputs: dict[str, Any]) -> Any:
    """Return a resource as it would be after an update, without a cluster having been asked."""
    resource = make(token)
    resource.inputs = resource.check(inputs)
    state = copy.deepcopy(resource.inputs.value)
    resource.state = Properties(value={**state, "__fieldManager": "pulumi-kubernetes-1"})
    namespace, name = state["metadata"].get("namespace"), state["metadata"]["name"]
    resource.identity = f"{namespace}/{name}" if namespace else name
    return resource


def test_nothing_changed_is_no_difference(make: Make) -> None:
    inputs = workload("Deployment", "default", "web")
    assert existing(make, DEPLOYMENT, inputs).diff_to(inputs).changes == NONE


def test_changed_added_and_removed_values_are_listed_by_path(make: Make) -> None:
    inputs = workload("Deployment", "default", "web")
    inputs["spec"]["template"]["metadata"]["labels"]["old"] = "x"
    news = copy.deepcopy(inputs)
    news["spec"]["replicas"] = 2
    news["spec"]["template"]["spec"]["containers"][0]["image"] = "conformance.invalid/other:2"
    news["spec"]["template"]["metadata"]["labels"]["new.io/label"] = "y"
    del news["spec"]["template"]["metadata"]["labels"]["old"]
    answer = existing(make, DEPLOYMENT, inputs).diff_to(news)
    kinds = {path: change.kind for path, change in answer.detailedDiff.items()}
    change = provider_pb2.PropertyDiff
    assert answer.changes == SOME
    assert kinds == {
        "spec.replicas": change.UPDATE,
        "spec.template.metadata.labels.old": change.DELETE,
        'spec.template.metadata.labels["new.io/label"]': change.ADD,
        "spec.template.spec.containers[0].image": change.UPDATE,
    }
    assert not answer.replaces


def pod() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata("default", "pod"),
        "spec": pod_spec(),
    }


def claim() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata("default", "data"),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "fast",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def other(kind: str, api: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": metadata("default", "it"), **fields}


IMMUTABLE = [
    (DEPLOYMENT, workload("Deployment", "default", "web"), "metadata.name", "web2"),
    (DEPLOYMENT, workload("Deployment", "default", "web"), "metadata.namespace", "elsewhere"),
    (DEPLOYMENT, workload("Deployment", "default", "w"), "spec.selector.matchLabels.app", "x"),
    (
        "kubernetes:apps/v1:StatefulSet",
        workload("StatefulSet", "default", "db"),
        "spec.serviceName",
        "other",
    ),
    (
        "kubernetes:apps/v1:DaemonSet",
        workload("DaemonSet", "default", "log"),
        "spec.selector.matchLabels.app",
        "other",
    ),
    ("kubernetes:batch/v1:Job", job("default", "train"), "spec.template.spec.hostNetwork", True),
    ("kubernetes:core/v1:PersistentVolumeClaim", claim(), "spec.storageClassName", "slow"),
    ("kubernetes:core/v1:Pod", pod(), "spec.nodeName", "another"),
    (
        "kubernetes:core/v1:Service",
        other("Service", "v1", spec={"clusterIP": "10.0.0.1", "ports": [{"port": 80}]}),
        "spec.clusterIP",
        "10.0.0.2",
    ),
    (
        "kubernetes:core/v1:Secret",
        other("Secret", "v1", type="Opaque", data={"a": "YQ=="}),
        "type",
        "kubernetes.io/tls",
    ),
    (
        "kubernetes:storage.k8s.io/v1:StorageClass",
        other("StorageClass", "storage.k8s.io/v1", provisioner="a.b/c", parameters={"x": "1"}),
        "parameters.x",
        "2",
    ),
    (
        "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
        other(
            "RoleBinding",
            "rbac.authorization.k8s.io/v1",
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        ),
        "roleRef.name",
        "s",
    ),
]


@pytest.mark.parametrize(("token", "inputs", "path", "value"), IMMUTABLE)
def test_an_immutable_field_replaces_the_object(
    make: Make, token: str, inputs: dict[str, Any], path: str, value: Any
) -> None:
    news = copy.deepcopy(inputs)
    parse(path).set(news, value)
    answer = existing(make, token, inputs).diff_to(news)
    assert answer.changes == SOME
    assert answer.replaces


def test_a_mutable_neighbour_does_not(make: Make) -> None:
    inputs = other("Service", "v1", spec={"ports": [{"port": 80}]})
    news = copy.deepcopy(inputs)
    news["spec"]["ports"][0]["port"] = 81
    assert not existing(make, "kubernetes:core/v1:Service", inputs).diff_to(news).replaces


def test_a_config_map_is_replaced_and_a_fixed_name_asks_for_deletion_first(make: Make) -> None:
    resource = existing(make, CONFIG_MAP, config_map("default", "fixed", a="1"))
    answer = resource.diff_to(config_map("default", "fixed", a="2"))
    assert answer.replaces
    assert answer.deleteBeforeReplace


def test_an_automatic_name_or_another_name_lets_the_new_object_come_first(make: Make) -> None:
    auto = existing(make, CONFIG_MAP, config_map("default", a="1"))
    assert not auto.diff_to(config_map("default", a="2")).deleteBeforeReplace
    fixed = existing(make, CONFIG_MAP, config_map("default", "one"))
    assert not fixed.diff_to(config_map("default", "two")).deleteBeforeReplace


def test_what_is_not_known_yet_counts_as_changed(make: Make) -> None:
    inputs = workload("Deployment", "default", "web")
    news = copy.deepcopy(inputs)
    news["spec"]["template"]["spec"]["containers"][0]["image"] = UNKNOWN
    assert existing(make, DEPLOYMENT, inputs).diff_to(news).changes == SOME


def test_a_refresh_shows_what_somebody_changed_and_nothing_else(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    inputs = workload("Deployment", namespace, "web", skipAwait="true")
    inputs["spec"]["replicas"] = 0
    container = inputs["spec"]["template"]["spec"]["containers"][0]
    # The server writes this quantity as "1", and fills in defaults all around it.
    container["resources"] = {"requests": {"cpu": "1000m"}}
    resource = make(DEPLOYMENT).create(inputs)
    resource.refresh()
    assert resource.diff_to(inputs).changes == NONE

    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    cluster.merge(path, {"spec": {"minReadySeconds": 1}, "metadata": {"labels": {"theirs": "1"}}})
    resource.refresh()
    assert resource.diff_to(inputs).changes == NONE, "a field that is not ours is no drift"

    cluster.merge(path, {"metadata": {"annotations": {"a": "b"}}, "spec": {"paused": True}})
    cluster.merge(path, {"spec": {"replicas": 3}})
    resource.refresh()
    answer = resource.diff_to(inputs)
    assert set(answer.detailedDiff) == {"spec.replicas"}
    assert resource.inputs.value["spec"]["replicas"] == 3


def test_a_refresh_shows_a_changed_and_a_removed_key(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    inputs = config_map(namespace, "conf", changed="1", removed="2", kept="3")
    resource = make(CONFIG_MAP).create(inputs)
    path = f"/api/v1/namespaces/{namespace}/configmaps/conf"
    cluster.merge(path, {"data": {"changed": "x", "removed": None, "added": "theirs"}})
    resource.refresh()
    assert resource.inputs.value["data"] == {"changed": "x", "kept": "3"}
