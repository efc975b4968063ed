"""The champion's SeldonDeployment, as the small controller makes Pods of it."""

import dataclasses
from typing import Any

from mlops_rollout import seldon_deployment
from mlops_rollout.engine import Version
from seldon_controller import manifest, objects
from seldon_controller.objects import Images
from tests.unit.mlops_rollout import fake

_NAME = "flight-delay-v3-abcde"
SERVER = dataclasses.replace(fake.SERVER, log_rate=0.5)
VERSION = Version(number="3", uri="mlflow-artifacts:/1/models/m/artifacts")


def _body() -> dict[str, Any]:
    body = seldon_deployment.manifest(SERVER, VERSION)
    body["metadata"] |= {"name": _NAME, "generation": 1, "uid": "u"}
    return body


def _children() -> objects.Children:
    images = Images(initializer="local/initializer:1", servers={})
    return objects.build(manifest.read(_body(), ()), images)


def test_the_gateway_finds_its_service() -> None:
    name, _, rest = seldon_deployment.host(_NAME, SERVER.namespace).partition(".")
    services = {each["metadata"]["name"]: each for each in _children().services}
    ports = [port["port"] for port in services[name]["spec"]["ports"]]
    assert rest.startswith("seldon.svc.")
    assert int(rest.rpartition(":")[2]) in ports


def test_the_server_runs_without_processes_that_nobody_asks() -> None:
    (deployment,) = _children().deployments
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    assert variables["GRPC_WORKERS"] == "0"
    assert variables["PREDICTION_LOG_RATE"] == "0.5"
