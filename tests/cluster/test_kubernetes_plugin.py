"""The `kubernetes` plugin where containers really run: what no control plane alone can show."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mlops_infra.node import create
from mlops_infra.node.spec import NodeSpec
from mlops_toolchain.images import reference
from tests.conformance.protocol import InitializationFailedError, Plugin, Resource

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def plugin(
    new_name: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plugin]:
    info = create(NodeSpec(name=new_name()))
    folder = tmp_path_factory.mktemp("plugin")
    running = Plugin([sys.executable, "-m", "mlops_kubernetes"], folder)
    running.configure(kubeconfig=info.kubeconfig)
    yield running
    running.stop()


def pod_spec(script: str, **more: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": reference("busybox"),
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
    }
    return {"containers": [container], "terminationGracePeriodSeconds": 1, **more}


def workload(kind: str, name: str, script: str, **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod_spec(script)}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def make(plugin: Plugin, token: str, name: str) -> Resource:
    return Resource(plugin=plugin, token=f"kubernetes:{token}", name=name)


def test_workloads_become_ready_and_go(plugin: Plugin) -> None:
    for kind in ("Deployment", "StatefulSet", "DaemonSet"):
        name = f"web-{kind.lower()}"
        resource = make(plugin, f"apps/v1:{kind}", name)
        spec = {"serviceName": name} if kind == "StatefulSet" else {}
        resource.create(workload(kind, name, "sleep 1000", **spec), timeout=60)
        resource.delete(timeout=60)


def test_the_last_words_of_a_crashing_container_are_in_the_error(plugin: Plugin) -> None:
    resource = make(plugin, "apps/v1:Deployment", "crash")
    # It runs for a moment, which may be seen, and without these seconds is enough to be available.
    inputs = workload("Deployment", "crash", "echo the last words; exit 3", minReadySeconds=2)
    with pytest.raises(InitializationFailedError) as failed:
        resource.create(inputs, timeout=12)
    text = "\n".join(failed.value.reasons)
    assert "container main | the last words" in text
    resource.update(workload("Deployment", "crash", "sleep 1000"), timeout=60)
    resource.delete(timeout=60)


def job(name: str, script: str) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "backoffLimit": 0,
            "template": {"spec": pod_spec(script, restartPolicy="Never")},
        },
    }


def test_jobs_complete_or_fail_with_their_last_words(plugin: Plugin) -> None:
    good = make(plugin, "batch/v1:Job", "good").create(job("good", "true"), timeout=60)
    assert good.state.value["status"]["succeeded"] == 1
    bad = make(plugin, "batch/v1:Job", "bad")
    with pytest.raises(InitializationFailedError) as failed:
        bad.create(job("bad", "echo out of cheese; exit 7"), timeout=60)
    assert "out of cheese" in "\n".join(failed.value.reasons)
    for resource in (good, bad):
        resource.delete(timeout=60)


def test_a_claim_of_the_default_class_does_not_wait_for_its_first_consumer(
    plugin: Plugin,
) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    resource = make(plugin, "core/v1:PersistentVolumeClaim", "data").create(claim, timeout=30)
    resource.delete(timeout=30)


def test_an_image_that_is_not_there_is_named_while_waiting(plugin: Plugin) -> None:
    resource = make(plugin, "apps/v1:Deployment", "absent")
    inputs = workload("Deployment", "absent", "true")
    inputs["spec"]["template"]["spec"]["containers"][0]["image"] = "local/absent:1"
    with pytest.raises(InitializationFailedError, match="ErrImageNeverPull"):
        resource.create(inputs, timeout=10)
    assert any("ErrImageNeverPull" in status for status in plugin.engine.statuses)
    resource.delete(timeout=60)
