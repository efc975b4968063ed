"""Previews: what a dry run tells, and what can be told without a cluster. Nothing is changed."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mlops_kubernetes.values import UNKNOWN
from tests.conformance.cluster import Cluster
from tests.conformance.conftest import Make
from tests.conformance.manifests import (
    CONFIG_MAP,
    DEPLOYMENT,
    SERVICE,
    config_map,
    custom_object,
    metadata,
    workload,
)
from tests.conformance.protocol import OperationFailedError, Plugin, Resource

NOWHERE = yaml.safe_dump(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "gone",
        "contexts": [{"name": "gone", "context": {"cluster": "gone", "user": "gone"}}],
        # Port 1 on loopback: nothing listens there.
        "clusters": [{"name": "gone", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "gone", "user": {"token": base64.b64encode(b"t").decode()}}],
    }
)


def test_a_preview_shows_the_servers_defaults_and_creates_nothing(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    state = make(DEPLOYMENT).preview_create(workload("Deployment", namespace, "web"))
    assert state.value["spec"]["strategy"]["type"] == "RollingUpdate"
    assert cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/web") is None


def test_what_only_the_real_creation_decides_is_unknown(make: Make, namespace: str) -> None:
    inputs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(namespace, "web"),
        "spec": {"ports": [{"port": 80}]},
    }
    state = make(SERVICE).preview_create(inputs)
    assert state.value["metadata"]["uid"] is UNKNOWN
    assert state.value["spec"]["clusterIP"] is UNKNOWN
    assert state.value["spec"]["ports"][0]["port"] == 80


def test_an_update_is_previewed_and_not_made(make: Make, cluster: Cluster, namespace: str) -> None:
    resource = make(DEPLOYMENT)
    inputs = workload("Deployment", namespace, "web")
    inputs["spec"]["replicas"] = 0
    resource.create(inputs)
    inputs["spec"]["minReadySeconds"] = 5
    assert resource.preview_update(inputs).value["spec"]["minReadySeconds"] == 5
    found = cluster.must_get(f"/apis/apps/v1/namespaces/{namespace}/deployments/web")
    assert "minReadySeconds" not in found["spec"]


def test_an_object_that_the_server_would_refuse_fails_in_preview(
    make: Make, namespace: str
) -> None:
    inputs = workload("Deployment", namespace, "web")
    inputs["spec"]["selector"]["matchLabels"] = {"app": "another"}
    with pytest.raises(OperationFailedError, match="selector"):
        make(DEPLOYMENT).preview_create(inputs)


def test_what_is_not_known_yet_stays_unknown(make: Make, namespace: str) -> None:
    inputs = config_map(namespace, "conf")
    inputs["data"]["address"] = UNKNOWN
    state = make(CONFIG_MAP).preview_create(inputs)
    assert state.value["data"] == {"key": "value", "address": UNKNOWN}


def test_a_namespace_or_kind_that_the_update_will_make_is_no_obstacle(make: Make) -> None:
    state = make(CONFIG_MAP).preview_create(config_map("not-there-yet", "conf"))
    assert state.value["data"] == {"key": "value"}
    group = "not-there-yet.conformance.invalid"
    widget = make(f"kubernetes:{group}/v1:Widget")
    assert widget.preview_create(custom_object(group, "default", "w")).value["spec"] == {"size": 3}


@pytest.mark.parametrize("kubeconfig", [NOWHERE, "/nowhere/kubeconfig"])
def test_a_cluster_that_does_not_exist_yet_is_no_obstacle(
    start: Callable[..., Plugin], kubeconfig: str
) -> None:
    plugin = start(kubeconfig=kubeconfig)
    resource = Resource(plugin=plugin, token=CONFIG_MAP, name="conf")
    state = resource.preview_create(config_map("default", "conf"))
    assert state.value["data"] == {"key": "value"}
    with pytest.raises(OperationFailedError):
        resource.delete()


def test_the_kubeconfig_may_be_text_a_path_or_json(
    start: Callable[..., Plugin], kubeconfig: Path
) -> None:
    text = kubeconfig.read_text()
    for given in (text, str(kubeconfig), yaml.safe_load(text)):
        argument = json.dumps(given) if isinstance(given, dict) else given
        plugin = start(kubeconfig=argument)
        resource = Resource(plugin=plugin, token=CONFIG_MAP, name="conf")
        state = resource.preview_create(config_map("default", "conf"))
        assert state.value["metadata"]["namespace"] == "default"
