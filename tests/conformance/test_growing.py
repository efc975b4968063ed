"""Volume claims that are to grow: only where their class lets them, and refused before a change."""

import copy
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.cluster import Cluster
from tests.conformance.conftest import Make
from tests.conformance.manifests import metadata
from tests.conformance.protocol import OperationFailedError, Resource

CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
VOLUME = "kubernetes:core/v1:PersistentVolume"


@pytest.fixture
def storage_class(make: Make) -> Iterator[Resource]:
    """A class whose volumes cannot grow."""
    name = f"fixed-{secrets.token_hex(4)}"
    made = make(CLASS, name).create(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": "conformance.invalid/none",
        }
    )
    yield made
    made.delete(timeout=30)


def sized(inputs: dict[str, Any], size: str) -> dict[str, Any]:
    larger = copy.deepcopy(inputs)
    larger["spec"]["resources"]["requests"]["storage"] = size
    return larger


@pytest.fixture
def inputs(storage_class: Resource, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(namespace, "data"),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class.identity,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


@pytest.fixture
def bound(make: Make, inputs: dict[str, Any]) -> Iterator[Resource]:
    """A claim that has a volume; nothing else of the suite's makes one."""
    name = inputs["spec"]["storageClassName"]
    volume = make(VOLUME, name).create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": name,
                "hostPath": {"path": "/nonexistent"},
            },
        },
        timeout=30,
    )
    claim = make(CLAIM).create(inputs, timeout=30)
    yield claim
    claim.delete(timeout=30)
    volume.delete(timeout=30)


def test_a_claim_whose_class_is_fixed_is_refused_with_the_remedy_and_nothing_changes(
    bound: Resource, inputs: dict[str, Any], cluster: Cluster, namespace: str
) -> None:
    name = inputs["spec"]["storageClassName"]
    said = (
        f"PersistentVolumeClaim {namespace}/data has 1Gi and cannot grow to 2Gi: its StorageClass "
        f"{name} does not set allowVolumeExpansion.*Ask for 1Gi; or.*kubectl patch storageclass"
    )
    with pytest.raises(OperationFailedError, match=said):
        bound.preview_update(sized(inputs, "2Gi"))
    with pytest.raises(OperationFailedError, match=said):
        bound.update(sized(inputs, "2Gi"), timeout=5)
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/data"
    requests = cluster.must_get(path)["spec"]["resources"]["requests"]
    assert requests == {"storage": "1Gi"}


def test_a_claim_whose_class_lets_it_grow_does(
    bound: Resource, inputs: dict[str, Any], cluster: Cluster
) -> None:
    name = inputs["spec"]["storageClassName"]
    path = f"/apis/storage.k8s.io/v1/storageclasses/{name}"
    cluster.merge(path, {"allowVolumeExpansion": True})
    assert bound.preview_update(sized(inputs, "2Gi")).value["spec"]["resources"]["requests"] == {
        "storage": "2Gi"
    }
