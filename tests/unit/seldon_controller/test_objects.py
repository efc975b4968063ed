"""Names, labels, ports and variables are those of the official operator."""

import json
from typing import Any

from seldon_controller import manifest, objects
from seldon_controller.objects import Children
from tests.unit.seldon_controller.manifests import IMAGES, canary, prepackaged


def _build(body: dict[str, Any]) -> Children:
    return objects.build(manifest.read(body, tuple(IMAGES.servers)), IMAGES)


def _pod(children: Children, number: int = 0) -> dict[str, Any]:
    pod: dict[str, Any] = children.deployments[number]["spec"]["template"]["spec"]
    return pod


def _variables(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"]}


def test_a_prepackaged_server_is_named_and_labelled_as_documented() -> None:
    children = _build(prepackaged())
    (deployment,) = children.deployments
    assert deployment["metadata"]["name"] == "iris-default-0-classifier"
    assert deployment["metadata"]["labels"] == {
        "seldon-deployment-id": "iris",
        "seldon-app": "iris-default",
        "seldon-app-svc": "iris-default-classifier",
        "app": "iris-default-0-classifier",
        "version": "default",
    }
    assert deployment["spec"]["selector"]["matchLabels"] == {
        "app": "iris-default-0-classifier",
        "seldon-app": "iris-default",
        "seldon-deployment-id": "iris",
    }
    names = [service["metadata"]["name"] for service in children.services]
    assert names == ["iris-default", "iris-default-classifier"]
    for service in children.services:
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        assert [p["port"] for p in service["spec"]["ports"]] == [9000, 9500]
    assert children.endpoints["iris-default"] == {
        "svcName": "iris-default",
        "httpEndpoint": "iris-default.models:9000",
        "grpcEndpoint": "iris-default.models:9500",
    }
    assert children.address == (
        "http://iris-default.models.svc.cluster.local:9000/api/v1.0/predictions"
    )


def test_a_prepackaged_server_gets_its_image_its_model_and_its_variables() -> None:
    pod = _pod(_build(prepackaged()))
    (container,) = pod["containers"]
    assert container["image"] == "local/server:1"
    assert [(p["name"], p["containerPort"]) for p in container["ports"]] == [
        ("http", 9000),
        ("grpc", 9500),
        ("metrics", 6000),
    ]
    variables = _variables(container)
    parameters = json.loads(variables.pop("PREDICTIVE_UNIT_PARAMETERS"))
    assert parameters == [{"name": "model_uri", "type": "STRING", "value": "/mnt/models"}]
    assert variables == {
        "MODEL_NAME": "prepackaged.SKLearnServer",
        "PREDICTIVE_UNIT_SERVICE_PORT": "9000",
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "9000",
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": "9500",
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": "6000",
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
        "PREDICTIVE_UNIT_ID": "classifier",
        "PREDICTIVE_UNIT_IMAGE": "local/server:1",
        "PREDICTOR_ID": "default",
        "PREDICTOR_LABELS": '{"version": "default"}',
        "SELDON_DEPLOYMENT_ID": "iris",
    }
    (initializer,) = pod["initContainers"]
    assert initializer["name"] == "classifier-model-initializer"
    assert initializer["image"] == "local/storage-initializer:1"
    assert initializer["args"] == ["s3://models/iris", "/mnt/models"]
    assert initializer["envFrom"] == [{"secretRef": {"name": "seldon-s3"}}]
    assert pod["volumes"] == [{"name": "classifier-provision-location", "emptyDir": {}}]
    mounts = [container["volumeMounts"][0], initializer["volumeMounts"][0]]
    assert {mount["name"] for mount in mounts} == {"classifier-provision-location"}
    assert mounts[0]["readOnly"]


def test_a_manifest_may_name_initializer_image_and_account() -> None:
    pod = _pod(_build(prepackaged(storageInitializerImage="mine:1", serviceAccountName="models")))
    assert pod["initContainers"][0]["image"] == "mine:1"
    assert pod["serviceAccountName"] == "models"


def test_two_predictors_are_two_deployments_with_their_own_numbers() -> None:
    children = _build(canary())
    found = {d["metadata"]["name"]: d for d in children.deployments}
    assert {name: d["spec"]["replicas"] for name, d in found.items()} == {
        "income-main-0-model": 3,
        "income-canary-0-model": 2,
    }
    template = found["income-main-0-model"]["spec"]["template"]
    assert template["metadata"]["labels"]["version"] == "main-1"
    assert template["metadata"]["annotations"]["team"] == "data"
    assert set(children.endpoints) == {
        "income-main",
        "income-main-model",
        "income-canary",
        "income-canary-model",
    }


def test_what_a_component_says_wins() -> None:
    body = canary()
    component = body["spec"]["predictors"][0]["componentSpecs"][0]
    container = component["spec"]["containers"][0]
    component["replicas"] = 5
    container["ports"] = [{"name": "http", "containerPort": 8080}]
    container["readinessProbe"] = {"httpGet": {"path": "/health", "port": "http"}}
    container["securityContext"] = {"readOnlyRootFilesystem": True}
    children = _build(body)
    assert children.deployments[0]["spec"]["replicas"] == 5
    (made,) = _pod(children)["containers"]
    variables = _variables(made)
    assert variables["PREDICTIVE_UNIT_ID"] == "mine"
    assert variables["PREDICTIVE_UNIT_SERVICE_PORT"] == "8080"
    assert made["image"] == "local/income:1"
    assert made["readinessProbe"] == {"httpGet": {"path": "/health", "port": "http"}}
    assert made["securityContext"] == {"readOnlyRootFilesystem": True}
    assert made["resources"] == {"requests": {"memory": "1Mi"}}
    assert children.endpoints["income-main"]["httpEndpoint"] == "income-main.models:8080"
    assert [p["name"] for p in json.loads(variables["PREDICTIVE_UNIT_PARAMETERS"])] == [
        "method",
        "model_uri",
    ]


def test_ports_count_up_over_the_containers_of_a_predictor() -> None:
    body = canary()
    containers = body["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"]
    containers.insert(0, {"name": "sidecar", "image": "side:1"})
    children = _build(body)
    assert children.deployments[0]["metadata"]["name"] == "income-main-0-sidecar-model"
    sidecar, model = _pod(children)["containers"]
    assert "env" not in sidecar
    assert [p["containerPort"] for p in model["ports"]] == [9001, 9501, 6001]
    assert children.services[0]["spec"]["ports"][0]["port"] == 9001


def test_the_service_of_a_predictor_may_be_named() -> None:
    body = prepackaged()
    body["spec"]["predictors"][0]["annotations"]["seldon.io/svc-name"] = "mine"
    assert "mine" in _build(body).endpoints


def test_long_names_become_digests() -> None:
    body = prepackaged()
    body["metadata"]["name"] = "a" * 50
    for child in (*_build(body).deployments, *_build(body).services):
        name = child["metadata"]["name"]
        assert len(name) <= 63
        assert all(len(value) <= 63 for value in child["metadata"]["labels"].values())
    assert _build(body).deployments[0]["metadata"]["name"].startswith("seldon-")


def test_pods_pass_the_restricted_standard() -> None:
    pod = _pod(_build(prepackaged()))
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*pod["containers"], *pod["initContainers"]]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["automountServiceAccountToken"] is False


def test_building_changes_nothing_in_the_manifest() -> None:
    body = canary()
    first, second = _build(body), _build(body)
    assert body == canary()
    assert first == second
