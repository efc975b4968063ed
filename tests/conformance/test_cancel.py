"""A cancelled update ends its waits, keeps what exists, and is continued by the next one."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import empty_pb2

from tests.conformance.cluster import Cluster
from tests.conformance.kubelet import kubelet
from tests.conformance.manifests import CONFIG_MAP, DEPLOYMENT, config_map, workload
from tests.conformance.protocol import (
    InitializationFailedError,
    OperationFailedError,
    Plugin,
    Resource,
    eventually,
)


def in_background(work: Callable[[], Any]) -> tuple[threading.Thread, list[BaseException]]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, errors


def test_a_cancelled_creation_keeps_the_object_and_the_next_update_completes_it(
    start: Callable[..., Plugin], cluster: Cluster, namespace: str, kubeconfig: Path
) -> None:
    plugin = start(kubeconfig=str(kubeconfig))
    resource = Resource(plugin=plugin, token=DEPLOYMENT, name="web")
    inputs = workload("Deployment", namespace, "web")
    thread, errors = in_background(lambda: resource.create(inputs))
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    eventually(lambda: cluster.get(path))
    eventually(lambda: plugin.engine.statuses)
    plugin.stub.Cancel(empty_pb2.Empty())
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(errors[0], InitializationFailedError)
    assert resource.identity == f"{namespace}/web"

    resource.plugin = start(kubeconfig=str(kubeconfig))
    with kubelet(cluster, namespace):
        resource.update(inputs, timeout=30)
    assert resource.state.value["status"]["availableReplicas"] == 1


def test_a_cancelled_deletion_is_taken_up_again(
    start: Callable[..., Plugin], cluster: Cluster, namespace: str, kubeconfig: Path
) -> None:
    plugin = start(kubeconfig=str(kubeconfig))
    resource = Resource(plugin=plugin, token=CONFIG_MAP, name="held")
    resource.create(config_map(namespace, "held"))
    path = f"/api/v1/namespaces/{namespace}/configmaps/held"
    cluster.merge(path, {"metadata": {"finalizers": ["conformance.invalid/hold"]}})
    thread, errors = in_background(resource.delete)
    eventually(lambda: "deletionTimestamp" in cluster.must_get(path)["metadata"])
    plugin.stub.Cancel(empty_pb2.Empty())
    thread.join(10)
    assert isinstance(errors[0], OperationFailedError)

    resource.plugin = start(kubeconfig=str(kubeconfig))
    cluster.merge(path, {"metadata": {"finalizers": None}})
    resource.delete(timeout=10)


def test_a_killed_plugin_leaves_an_object_that_the_next_run_takes_up(
    start: Callable[..., Plugin], cluster: Cluster, namespace: str, kubeconfig: Path
) -> None:
    plugin = start(kubeconfig=str(kubeconfig))
    inputs = workload("Deployment", namespace, "web")
    lost = Resource(plugin=plugin, token=DEPLOYMENT, name="web")
    thread, errors = in_background(lambda: lost.create(inputs))
    eventually(lambda: cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/web"))
    eventually(lambda: plugin.engine.statuses)
    plugin.process.kill()
    thread.join(10)
    assert errors

    again = Resource(plugin=start(kubeconfig=str(kubeconfig)), token=DEPLOYMENT, name="web")
    with kubelet(cluster, namespace):
        again.create(inputs, timeout=30)
    assert again.identity == f"{namespace}/web"

    other = Resource(plugin=again.plugin, token=DEPLOYMENT, name="renamed")
    with pytest.raises(OperationFailedError, match="exists"):
        other.create(inputs)
