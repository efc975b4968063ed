"""Seldon Core, as it is registered."""

import json
from typing import Any

from mlops_platform.serving.seldon_core import SeldonCore, SeldonCoreArgs, SeldonImages
from mlops_platform.serving.seldon_crd import DEFINITION
from mlops_toolchain import images
from tests.unit import recording

IMAGES = SeldonImages(
    controller=images.reference("seldon-controller"),
    model_server=images.reference("seldon-model-server"),
    model_initializer=images.reference("storage-initializer"),
)


def _run() -> recording.Recorder:
    def program() -> None:
        SeldonCore("seldon", SeldonCoreArgs(cluster=recording.cluster()))

    return recording.run(program)


def test_the_controller_knows_its_images_and_its_namespace() -> None:
    pod = _run().named("seldon-controller").inputs["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == IMAGES.controller
    assert "--namespace=seldon" in container["args"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    assert variables["WATCHED_NAMESPACE"] == "seldon"
    assert variables["MODEL_INITIALIZER_IMAGE"] == IMAGES.model_initializer
    servers = json.loads(variables["PREPACKAGED_SERVERS"])
    assert set(servers) == {"SKLEARN_SERVER", "MLFLOW_SERVER"}
    assert {server["image"] for server in servers.values()} == {IMAGES.model_server}


def test_the_controller_has_rights_in_one_namespace_and_no_more_than_it_uses() -> None:
    found = _run()
    overview = found.named("seldon-overview").inputs["rules"]
    assert {r["resources"][0] for r in overview} == {"namespaces", "customresourcedefinitions"}
    assert all(rule["verbs"] == ["list", "watch"] for rule in overview)
    role = found.named("seldon-role").inputs
    assert role["metadata"]["namespace"] == "seldon"
    verbs = {resource: set(r["verbs"]) for r in role["rules"] for resource in r["resources"]}
    assert all("*" not in allowed for allowed in verbs.values())
    assert "secrets" not in verbs
    assert verbs["pods"] == {"list", "watch"}
    # Without it a Service that is deleted is noticed at the next look only.
    assert "watch" in verbs["services"]
    assert "events" not in verbs


def test_the_definition_is_structural() -> None:
    def check(schema: dict[str, Any], path: str) -> None:
        assert "type" in schema, path
        assert schema.get("items") is None or schema["type"] == "array", path
        for name, each in schema.get("properties", {}).items():
            check(each, f"{path}.{name}")
        for key in ("items", "additionalProperties"):
            if key in schema:
                check(schema[key], f"{path}[]")

    (version,) = DEFINITION["spec"]["versions"]
    check(version["schema"]["openAPIV3Schema"], "")
    assert version["name"] == "v1"
    assert version["subresources"] == {"status": {}}


def test_namespaces_enforce_the_restricted_standard() -> None:
    for namespace in _run().of("core/v1:Namespace"):
        labels = namespace.inputs["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
