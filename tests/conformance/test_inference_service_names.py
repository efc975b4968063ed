"""The API server itself refuses an InferenceService whose name KServe cannot serve."""

import time
from collections.abc import Iterator

import httpx
import pytest

from mlops_platform.serving import kserve_manifests
from tests.conformance.cluster import Cluster
from tests.conformance.manifests import definition

DEFINITION = definition("serving.kserve.io", "InferenceService", version="v1beta1")
_PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}


@pytest.fixture(scope="module")
def limited(cluster: Cluster) -> Iterator[Cluster]:
    paths = ["/apis/apiextensions.k8s.io/v1/customresourcedefinitions"]
    cluster.create(paths[0], DEFINITION)
    made = [f"{paths[0]}/{DEFINITION['metadata']['name']}"]
    for manifest in kserve_manifests.name_limit():
        path = f"/apis/admissionregistration.k8s.io/v1/{_PLURALS[manifest['kind']]}"
        cluster.create(path, manifest)
        made.append(f"{path}/{manifest['metadata']['name']}")
    yield cluster
    for path in reversed(made):
        cluster.delete(path)


def _create(cluster: Cluster, namespace: str, **metadata: str) -> httpx.Response:
    return cluster.http.post(
        f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices",
        json={
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": metadata,
        },
    )


def _refused(cluster: Cluster, namespace: str, **metadata: str) -> str:
    """Return what a refusal says; the API server learns of a policy a moment after it is there."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        answer = _create(cluster, namespace, **metadata)
        if answer.status_code == 422:
            return str(answer.json()["message"])
        name = metadata.get("name")
        cluster.delete(
            f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices/{name or ''}"
        )
        time.sleep(0.5)
    pytest.fail(f"{metadata} was not refused")


def test_a_name_that_is_too_long_is_refused_with_the_limit(
    limited: Cluster, namespace: str
) -> None:
    most = 52 - len(namespace)
    said = _refused(limited, namespace, name="a" * (most + 1))
    assert f"has at most {most} characters, not {most + 1}" in said
    assert _create(limited, namespace, name="a" * most).status_code == 201
    # What the API server adds counts too.
    assert "characters, not" in _refused(limited, namespace, generateName="a" * most)
