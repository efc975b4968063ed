"""Fields that somebody else owns: reported with the owner, shared, or taken over on request."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.cluster import Cluster
from tests.conformance.conftest import Make
from tests.conformance.manifests import DEPLOYMENT, workload
from tests.conformance.protocol import OperationFailedError, Plugin, Resource


def deployment(namespace: str, replicas: int, **annotations: str) -> dict[str, Any]:
    inputs = workload("Deployment", namespace, "web", skipAwait="true", **annotations)
    inputs["spec"]["replicas"] = replicas
    return inputs


def scale(cluster: Cluster, namespace: str, replicas: int) -> None:
    """Scale as somebody else, who owns the field from then on."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    cluster.merge(path, {"spec": {"replicas": replicas}})


def replicas(cluster: Cluster, namespace: str) -> int:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    return int(cluster.must_get(path)["spec"]["replicas"])


def test_a_conflict_names_the_owner_the_field_and_the_remedy(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    resource = make(DEPLOYMENT).create(deployment(namespace, 0))
    scale(cluster, namespace, 1)
    for attempt in (resource.preview_update, resource.update):
        with pytest.raises(OperationFailedError) as failed:
            attempt(deployment(namespace, 2))
        for expected in ("conflict", "somebody", ".spec.replicas", "patchForce"):
            assert expected in str(failed.value)
    assert replicas(cluster, namespace) == 1


def test_the_annotation_takes_the_field_over(make: Make, cluster: Cluster, namespace: str) -> None:
    resource = make(DEPLOYMENT).create(deployment(namespace, 0))
    scale(cluster, namespace, 1)
    resource.update(deployment(namespace, 2, patchForce="true"))
    assert replicas(cluster, namespace) == 2


def test_the_provider_takes_fields_over(
    start: Callable[..., Plugin], cluster: Cluster, namespace: str, kubeconfig: Path
) -> None:
    forceful = start(kubeconfig=str(kubeconfig), enablePatchForce="true")
    resource = Resource(plugin=forceful, token=DEPLOYMENT, name="web")
    resource.create(deployment(namespace, 0))
    scale(cluster, namespace, 1)
    resource.update(deployment(namespace, 2))
    assert replicas(cluster, namespace) == 2


def test_an_ignored_field_is_left_to_its_owner(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    resource = make(DEPLOYMENT).create(deployment(namespace, 0))
    scale(cluster, namespace, 1)
    # The engine puts the old value of an ignored path into the new inputs.
    inputs = deployment(namespace, 0)
    inputs["spec"]["minReadySeconds"] = 1
    resource.update(inputs, ignore=["spec.replicas"])
    assert replicas(cluster, namespace) == 1


def test_existing_objects_are_taken_over_when_the_provider_says_so(
    start: Callable[..., Plugin], cluster: Cluster, namespace: str, kubeconfig: Path
) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    cluster.create(path, deployment(namespace, 0))
    plugin = start(kubeconfig=str(kubeconfig), upsertExistingObjects="true")
    resource = Resource(plugin=plugin, token=DEPLOYMENT, name="web")
    resource.create(deployment(namespace, 0))
    assert resource.identity == f"{namespace}/web"
