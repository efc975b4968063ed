from typing import Any

import pytest

from mlops_kubernetes import kinds, objects
from mlops_kubernetes.components.manifests import (
    ManifestError,
    as_manifest,
    expand,
    ordered,
    parse,
    placed,
)
from mlops_kubernetes.kinds import Kind
from mlops_kubernetes.values import UNKNOWN, Properties


def test_what_the_server_writes_is_not_sent_back() -> None:
    inputs = {
        "apiVersion": "core/v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "uid": "1", "resourceVersion": "2", "managedFields": []},
        "data": {"a": None, "b": "c"},
        "__fieldManager": "m",
    }
    assert objects.manifest(inputs, namespace="n", name="c") == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "n"},
        "data": {"b": "c"},
    }


def test_text_of_a_secret_is_sent_encoded() -> None:
    inputs = {"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "b"}, "data": {"c": "ZA=="}}
    assert objects.manifest(inputs)["data"] == {"a": "Yg==", "c": "ZA=="}
    assert "stringData" not in objects.manifest(inputs)


def test_a_previewed_service_has_no_address_unless_it_is_given() -> None:
    def preview(spec: dict[str, Any]) -> dict[str, Any]:
        inputs = {"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": spec}
        answer = {**inputs, "spec": {"clusterIP": "10.0.0.9", **spec}}
        state = objects.preview_of_creation(answer, Properties(value=inputs))
        return dict(state.value["spec"])

    assert preview({"ports": []})["clusterIP"] is UNKNOWN
    assert preview({"clusterIP": "None"})["clusterIP"] == "None"


def test_types_and_kinds_belong_together() -> None:
    assert kinds.of_type("kubernetes:core/v1:ConfigMap") == Kind("v1", "ConfigMap")
    assert kinds.of_type("kubernetes:apps/v1:DeploymentPatch") == Kind("apps/v1", "Deployment")
    assert kinds.of_type("kubernetes:helm.sh/v3:Release") is None
    assert kinds.is_patch("kubernetes:apps/v1:DeploymentPatch")
    assert not kinds.is_patch("kubernetes:a.example/v1:Patch")
    role = kinds.builtin(Kind("rbac.authorization.k8s.io/v1", "ClusterRole"))
    assert role is not None
    assert not role.namespaced


def test_yaml_is_read_as_kubernetes_reads_it() -> None:
    text = """
date: 2024-01-01
time: 12:30
equals: =
mode: 0644
size: 1e3
flag: yes
text: "0644"
"""
    assert parse(text, "x") == [
        {
            "date": "2024-01-01",
            "time": "12:30",
            "equals": "=",
            "mode": 0o644,
            "size": 1000.0,
            "flag": True,
            "text": "0644",
        }
    ]


def test_a_namespace_is_given_only_where_it_means_something() -> None:
    value = {"metadata": {"name": "x"}}
    assert placed(value, "n", True)["metadata"]["namespace"] == "n"
    assert "namespace" not in placed({"metadata": {"namespace": "n"}}, "m", False)["metadata"]
    assert "namespace" not in placed(value, "n", None)["metadata"]


def config_map(name: str, depends_on: str = "") -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "n"}
    if depends_on:
        metadata["annotations"] = {"config.kubernetes.io/depends-on": depends_on}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def test_circles_and_unknown_references_are_refused() -> None:
    one = config_map("one", "/namespaces/n/ConfigMap/two")
    two = config_map("two", "/namespaces/n/ConfigMap/one")
    with pytest.raises(ManifestError, match="one, two"):
        ordered([as_manifest(one), as_manifest(two)])
    with pytest.raises(ManifestError, match="no object of this component"):
        ordered([as_manifest(one)])


def test_lists_within_lists_are_flattened() -> None:
    inner = {"apiVersion": "v1", "kind": "ConfigMapList", "items": [config_map("a")]}
    outer = {"apiVersion": "v1", "kind": "List", "items": [inner, config_map("b")]}
    assert [v["metadata"]["name"] for v in expand([outer], "x")] == ["a", "b"]
