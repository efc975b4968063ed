"""Secret values stay secret: in inputs, state and previews, and out of logs and errors."""

import base64

import pytest

from mlops_kubernetes.paths import PropertyPath
from tests.conformance.cluster import Cluster
from tests.conformance.conftest import Make
from tests.conformance.manifests import (
    CONFIG_MAP,
    DEPLOYMENT,
    SECRET,
    SERVICE,
    metadata,
    workload,
)
from tests.conformance.protocol import OperationFailedError

PASSWORD = "correct-horse-battery-staple"
ENCODED = base64.b64encode(PASSWORD.encode()).decode()


def secret(namespace: str, name: str = "credentials") -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(namespace, name),
        "stringData": {"password": PASSWORD},
    }


def is_secret(secrets: frozenset[PropertyPath], *parts: str | int) -> bool:
    return any(PropertyPath(parts).starts_with(path) for path in secrets)


def test_what_a_secret_holds_is_always_secret(make: Make, cluster: Cluster, namespace: str) -> None:
    resource = make(SECRET)
    preview = resource.preview_create(secret(namespace))
    assert is_secret(preview.secrets, "stringData", "password")

    resource.create(secret(namespace))
    found = cluster.must_get(f"/api/v1/namespaces/{namespace}/secrets/credentials")
    assert found["data"]["password"] == ENCODED
    assert resource.state.value["data"]["password"] == ENCODED
    for part in (("stringData", "password"), ("data", "password")):
        assert is_secret(resource.state.secrets, *part)
    assert is_secret(resource.inputs.secrets, "stringData", "password")

    resource.refresh()
    assert is_secret(resource.state.secrets, "data", "password")
    assert is_secret(resource.inputs.secrets, "stringData", "password")
    assert resource.diff_to(secret(namespace)).changes == 1, "no drift in stringData"


def test_drift_of_a_secret_shows_without_showing_the_secret(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    resource = make(SECRET).create(secret(namespace))
    changed = base64.b64encode(b"changed by somebody").decode()
    path = f"/api/v1/namespaces/{namespace}/secrets/credentials"
    cluster.merge(path, {"data": {"password": changed}})
    resource.refresh()
    assert resource.inputs.value["stringData"] == {"password": "changed by somebody"}
    assert is_secret(resource.inputs.secrets, "stringData", "password")


def test_an_imported_secret_is_secret(make: Make, cluster: Cluster, namespace: str) -> None:
    cluster.create(f"/api/v1/namespaces/{namespace}/secrets", secret(namespace, "theirs"))
    resource = make(SECRET)
    resource.identity = f"{namespace}/theirs"
    resource.refresh()
    assert is_secret(resource.inputs.secrets, "data", "password")
    assert is_secret(resource.state.secrets, "data", "password")


def test_what_the_program_marks_stays_marked_in_the_state(make: Make, namespace: str) -> None:
    inputs = workload("Deployment", namespace, "web", skipAwait="true")
    container = inputs["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "TOKEN", "value": PASSWORD}]
    path = PropertyPath(("spec", "template", "spec", "containers", 0, "env", 0, "value"))
    resource = make(DEPLOYMENT).create(inputs, secrets=[path])
    assert is_secret(resource.state.secrets, *path.parts)
    resource.refresh()
    assert is_secret(resource.inputs.secrets, *path.parts)


def test_an_error_does_not_repeat_a_secret(make: Make, namespace: str) -> None:
    inputs = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        # The server quotes a wrong label value in its refusal.
        "metadata": {"namespace": namespace, "name": "conf", "labels": {"a": f"{PASSWORD}!"}},
    }
    resource = make(CONFIG_MAP)
    with pytest.raises(OperationFailedError) as failed:
        resource.create(inputs, secrets=[PropertyPath(("metadata", "labels"))])
    assert "conf" in str(failed.value)
    assert PASSWORD not in str(failed.value)
    assert PASSWORD not in resource.plugin.engine.text


@pytest.mark.parametrize("kind", ['zwei"drei', "drei\nvier fünf", "sechs\\sieben<&>"])
def test_an_error_does_not_repeat_a_secret_that_the_server_escapes(
    make: Make, namespace: str, kind: str
) -> None:
    inputs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": "leads"},
        "spec": {"type": kind, "ports": [{"port": 80}]},
    }
    resource = make(SERVICE)
    parts = [part for part in ("zwei", "drei", "vier fünf", "sechs", "sieben") if part in kind]
    assert parts
    with pytest.raises(OperationFailedError, match="leads") as failed:
        resource.create(inputs, secrets=[PropertyPath(("spec", "type"))])
    said = str(failed.value) + resource.plugin.engine.text
    assert not [part for part in parts if part in said]
