"""Create, read, update and delete against a cluster."""

import pytest

from tests.conformance.cluster import Cluster
from tests.conformance.conftest import Make
from tests.conformance.manifests import CONFIG_MAP, DEPLOYMENT, config_map, workload
from tests.conformance.protocol import OperationFailedError, eventually


def path_of(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps/{name}"


def test_an_object_is_created_updated_and_deleted(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    resource = make("kubernetes:core/v1:ServiceAccount", "robot")
    inputs = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"namespace": namespace, "name": "robot", "labels": {"a": "1", "b": "2"}},
    }
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/robot"
    resource.create(inputs)
    assert resource.identity == f"{namespace}/robot"
    assert cluster.must_get(path)["metadata"]["labels"] == {"a": "1", "b": "2"}

    resource.update({**inputs, "metadata": {**inputs["metadata"], "labels": {"b": "3"}}})  # type: ignore[dict-item]
    assert cluster.must_get(path)["metadata"]["labels"] == {"b": "3"}

    resource.delete()
    assert cluster.get(path) is None


def test_a_cluster_scoped_object_has_its_name_as_id(make: Make, cluster: Cluster) -> None:
    resource = make("kubernetes:scheduling.k8s.io/v1:PriorityClass", "urgent")
    resource.create(
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {}, "value": 7}
    )
    assert resource.identity == resource.object_name
    assert resource.state.value["value"] == 7
    resource.delete()
    assert cluster.get(f"/apis/scheduling.k8s.io/v1/priorityclasses/{resource.identity}") is None


def test_objects_are_applied_by_a_field_manager_that_the_state_remembers(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    resource = make(CONFIG_MAP).create(config_map(namespace, "conf"))
    manager = resource.state.value["__fieldManager"]
    assert manager.startswith("pulumi-kubernetes")
    assert manager in cluster.managers(path_of(namespace, "conf"))


def test_a_foreign_object_is_not_taken_over(make: Make, cluster: Cluster, namespace: str) -> None:
    cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", config_map(namespace, "theirs"))
    with pytest.raises(OperationFailedError, match="exists"):
        make(CONFIG_MAP).create(config_map(namespace, "theirs", key="ours"))
    assert cluster.must_get(path_of(namespace, "theirs"))["data"] == {"key": "value"}


def test_deleting_what_is_gone_succeeds(make: Make, cluster: Cluster, namespace: str) -> None:
    resource = make(CONFIG_MAP).create(config_map(namespace, "conf"))
    cluster.delete(path_of(namespace, "conf"))
    resource.delete()


def test_reading_what_is_gone_says_so(make: Make, cluster: Cluster, namespace: str) -> None:
    resource = make(CONFIG_MAP).create(config_map(namespace, "conf"))
    cluster.delete(path_of(namespace, "conf"))
    assert resource.refresh().identity == ""


def test_deletion_waits_for_finalizers_and_names_them_when_it_gives_up(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    resource = make(CONFIG_MAP).create(config_map(namespace, "held"))
    path = path_of(namespace, "held")
    cluster.merge(path, {"metadata": {"finalizers": ["conformance.invalid/hold"]}})
    with pytest.raises(OperationFailedError, match=r"(?s).*"):
        resource.delete(timeout=1)
    assert "deletionTimestamp" in cluster.must_get(path)["metadata"]

    cluster.merge(path, {"metadata": {"finalizers": None}})
    resource.delete(timeout=10)
    assert cluster.get(path) is None


def test_deletion_takes_owned_objects_along_or_leaves_them(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    sets = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    for policy, left in (("foreground", 0), ("orphan", 1)):
        inputs = workload(
            "Deployment", namespace, policy, skipAwait="false", deletionPropagationPolicy=policy
        )
        inputs["spec"]["replicas"] = 0
        resource = make(DEPLOYMENT, policy).create(inputs)
        eventually(lambda: cluster.items(sets))
        resource.delete(timeout=30)
        assert len(cluster.items(sets)) == left


def test_an_object_is_imported(make: Make, cluster: Cluster, namespace: str) -> None:
    cluster.apply(path_of(namespace, "theirs"), config_map(namespace, "theirs", key="value"))
    resource = make(CONFIG_MAP)
    resource.identity = f"{namespace}/theirs"
    resource.refresh()
    assert resource.identity == f"{namespace}/theirs"
    assert resource.inputs.value["data"] == {"key": "value"}
    assert "uid" not in resource.inputs.value["metadata"]
    assert not resource.diff_to(config_map(namespace, "theirs", key="value")).diffs


def test_a_generated_name_is_the_servers(make: Make, cluster: Cluster, namespace: str) -> None:
    inputs = config_map(namespace)
    inputs["metadata"] |= {"generateName": "made-", "labels": {"changed": "no"}}
    resource = make(CONFIG_MAP).create(inputs)
    assert resource.object_name.startswith("made-")
    assert resource.identity == f"{namespace}/{resource.object_name}"
    for value in ("yes", "again"):
        inputs["metadata"]["labels"] = {"changed": value}
        resource.update(inputs)
        found = cluster.must_get(path_of(namespace, resource.object_name))
        assert found["metadata"]["labels"] == {"changed": value}


def test_numbers_stay_what_they_are(make: Make, cluster: Cluster, namespace: str) -> None:
    inputs = workload("Deployment", namespace, "numbers")
    inputs["spec"] |= {"replicas": 0, "minReadySeconds": 2}
    resource = make(DEPLOYMENT).create(inputs)
    assert resource.state.value["spec"]["minReadySeconds"] == 2
    found = cluster.must_get(f"/apis/apps/v1/namespaces/{namespace}/deployments/numbers")
    assert found["spec"]["minReadySeconds"] == 2


def test_an_object_without_namespace_lives_in_the_default_one(make: Make, cluster: Cluster) -> None:
    inputs = config_map("")
    inputs["metadata"] = {}
    resource = make(CONFIG_MAP, "homeless").create(inputs)
    assert resource.identity == f"default/{resource.object_name}"
    assert not resource.diff_to(inputs).diffs
    resource.delete()


def test_nulls_mean_absent(make: Make, namespace: str) -> None:
    inputs = config_map(namespace, "nulls")
    inputs["binaryData"] = None
    resource = make(CONFIG_MAP).create(inputs)
    del inputs["binaryData"]
    assert not resource.diff_to(inputs).diffs
