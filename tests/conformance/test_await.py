"""Waiting until objects are ready, saying what is missing, and keeping what exists when they fail.

Where a pod must run, `kubelet.py` writes the status that a kubelet would write.
"""

import secrets
import threading
import time
from typing import Any

import pytest

from tests.conformance.cluster import Cluster
from tests.conformance.conftest import Make
from tests.conformance.kubelet import add_node, crashing, ended, kubelet, running
from tests.conformance.manifests import (
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    SERVICE,
    config_map,
    custom_object,
    definition,
    job,
    metadata,
    pod_spec,
    workload,
)
from tests.conformance.protocol import CheckFailedError, InitializationFailedError, eventually


def later(seconds: float, work: Any) -> threading.Thread:
    """Do something after some seconds, beside the test."""

    def run() -> None:
        time.sleep(seconds)
        work()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_workload_is_ready_when_its_pods_are(
    make: Make, cluster: Cluster, namespace: str, kind: str
) -> None:
    with kubelet(cluster, namespace):
        resource = make(f"kubernetes:apps/v1:{kind}").create(workload(kind, namespace, "web"))
        assert resource.state.value["status"]["readyReplicas"] == 1

        news = workload(kind, namespace, "web")
        news["spec"]["template"]["metadata"]["labels"]["version"] = "2"
        # A StatefulSet's pod is replaced by its controller only once it is ready: both count.
        resource.update(news)
    pods = cluster.items(f"/api/v1/namespaces/{namespace}/pods")
    assert [pod["metadata"]["labels"].get("version") for pod in pods] == ["2"]


def test_a_daemon_set_is_ready_when_every_node_runs_it(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    count = len(cluster.items("/api/v1/nodes"))
    node = f"conformance-{secrets.token_hex(4)}"
    if not count:
        add_node(cluster, node)
    try:
        with kubelet(cluster, namespace):
            inputs = workload("DaemonSet", namespace, "agent")
            resource = make("kubernetes:apps/v1:DaemonSet").create(inputs, timeout=30)
        assert resource.state.value["status"]["numberAvailable"] == max(count, 1)
    finally:
        if not count:
            cluster.delete(f"/api/v1/nodes/{node}")


def test_a_workload_that_does_not_become_ready_fails_with_the_reason_and_is_kept(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    resource = make(DEPLOYMENT)
    inputs = workload("Deployment", namespace, "web", timeoutSeconds="3")
    with (
        kubelet(cluster, namespace, crashing),
        pytest.raises(InitializationFailedError) as failed,
    ):
        resource.create(inputs)
    assert failed.value.identity == f"{namespace}/web"
    assert "CrashLoopBackOff" in "\n".join(failed.value.reasons)
    assert failed.value.state.value["metadata"]["uid"]

    inputs["spec"]["template"]["metadata"]["labels"]["fixed"] = "yes"
    inputs["metadata"]["annotations"]["pulumi.com/timeoutSeconds"] = "30"
    with kubelet(cluster, namespace):
        resource.update(inputs)
    assert resource.state.value["status"]["availableReplicas"] == 1


def test_statuses_show_what_is_waited_for(make: Make, namespace: str) -> None:
    resource = make(DEPLOYMENT)
    with pytest.raises(InitializationFailedError):
        resource.create(workload("Deployment", namespace, "slow"), timeout=2)
    statuses = [m for m in resource.plugin.engine.messages if m.urn == resource.urn and m.ephemeral]
    assert any(message.message for message in statuses)


def test_events_are_part_of_the_error(make: Make, cluster: Cluster, namespace: str) -> None:
    resource = make(DEPLOYMENT)
    inputs = workload("Deployment", namespace, "web", timeoutSeconds="4")
    inputs["spec"]["template"]["spec"]["serviceAccountName"] = "nobody"
    with pytest.raises(InitializationFailedError) as failed:
        resource.create(inputs)
    assert failed.value.reasons
    # The ReplicaSet cannot make pods; the Deployment's own condition or events say so.
    assert cluster.items(f"/api/v1/namespaces/{namespace}/events")


def test_a_job_is_ready_when_it_has_completed(make: Make, cluster: Cluster, namespace: str) -> None:
    with kubelet(cluster, namespace, ended(0)):
        resource = make(JOB).create(job(namespace, "train"), timeout=30)
    assert resource.state.value["status"]["succeeded"] == 1


def test_a_failed_job_ends_the_wait_and_may_be_replaced(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    resource = make(JOB)
    inputs = job(namespace, "train", replaceUnready="true")
    with (
        kubelet(cluster, namespace, ended(3)),
        pytest.raises(InitializationFailedError, match=r"(?i)fail"),
    ):
        resource.create(inputs, timeout=30)
    eventually(lambda: resource.state.value.get("status", {}).get("failed"))
    assert resource.diff_to(inputs).replaces


def test_a_pod_is_ready_when_it_runs_or_has_succeeded(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    for name, status in (("runs", running), ("ended", ended(0))):
        inputs = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata(namespace, name),
            "spec": pod_spec(restartPolicy="Never"),
        }
        with kubelet(cluster, namespace, status):
            resource = make("kubernetes:core/v1:Pod", name).create(inputs, timeout=30)
        assert resource.state.value["status"]["phase"] in ("Running", "Succeeded")


def test_a_failed_pod_ends_the_wait(make: Make, cluster: Cluster, namespace: str) -> None:
    inputs = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(namespace, "fails"),
        "spec": pod_spec(restartPolicy="Never"),
    }
    with kubelet(cluster, namespace, ended(7)), pytest.raises(InitializationFailedError):
        make("kubernetes:core/v1:Pod").create(inputs, timeout=30)


def claim(namespace: str, name: str, storage_class: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(namespace, name),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }


def test_a_claim_is_ready_when_it_is_bound(make: Make, cluster: Cluster, namespace: str) -> None:
    storage_class = f"static-{secrets.token_hex(4)}"
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": storage_class},
        "spec": {
            "capacity": {"storage": "1Mi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "hostPath": {"path": "/nonexistent"},
        },
    }
    made = make("kubernetes:core/v1:PersistentVolume", storage_class).create(volume, timeout=30)
    resource = make("kubernetes:core/v1:PersistentVolumeClaim")
    resource.create(claim(namespace, "data", storage_class), timeout=30)
    assert resource.state.value["status"]["phase"] == "Bound"
    resource.delete(timeout=30)
    made.delete(timeout=30)


def test_a_claim_that_waits_for_its_first_consumer_is_not_waited_for(
    make: Make, namespace: str
) -> None:
    name = f"late-{secrets.token_hex(4)}"
    storage_class = make("kubernetes:storage.k8s.io/v1:StorageClass", name).create(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": "conformance.invalid/none",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    )
    resource = make("kubernetes:core/v1:PersistentVolumeClaim")
    resource.create(claim(namespace, "data", name), timeout=30)
    assert resource.state.value["status"]["phase"] == "Pending"
    storage_class.delete()


def service(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(namespace, name),
        "spec": {"ports": [{"port": 80}], **spec},
    }


def test_a_service_is_ready_when_it_leads_to_a_pod(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    with kubelet(cluster, namespace, bind=True):
        make(DEPLOYMENT).create(workload("Deployment", namespace, "web"), timeout=30)
        make(SERVICE).create(service(namespace, "web", selector={"app": "web"}), timeout=30)
        slices = cluster.items(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")
        assert any(found.get("endpoints") for found in slices)


def test_a_service_without_pods_is_ready_and_one_with_unready_pods_is_not(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    began = time.monotonic()
    resource = make(SERVICE).create(service(namespace, "web", selector={"app": "none"}), timeout=60)
    assert time.monotonic() - began < 15
    assert resource.refresh().identity == f"{namespace}/web"

    inputs = workload("Deployment", namespace, "late", skipAwait="true")
    make(DEPLOYMENT, "late").create(inputs)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    eventually(lambda: cluster.items(pods), seconds=30)
    with pytest.raises(InitializationFailedError, match="none of 1 is ready"):
        make(SERVICE, "late").create(
            service(namespace, "late", selector={"app": "late"}), timeout=8
        )


def test_an_ingress_without_a_controller_is_warned_of_at_once(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    make(SERVICE).create(service(namespace, "web"), timeout=30)
    rule = {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata(namespace, "door"),
        "spec": {**rule, "ingressClassName": "nobody"},
    }
    door = make("kubernetes:networking.k8s.io/v1:Ingress", "door")
    with pytest.raises(InitializationFailedError, match="has no address"):
        door.create(ingress, timeout=3)
    assert "there is no IngressClass 'nobody'" in door.plugin.engine.text


def test_a_rollout_whose_deadline_passed_before_the_update_is_waited_for(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    inputs = workload("Deployment", namespace, "slow")
    inputs["spec"]["progressDeadlineSeconds"] = 2
    resource = make(DEPLOYMENT)
    with pytest.raises(InitializationFailedError, match="exceeded its deadline"):
        resource.create(inputs, timeout=60)
    with kubelet(cluster, namespace, bind=True):
        resource.update(inputs, timeout=60)
    assert resource.state.value["status"]["availableReplicas"] == 1


@pytest.mark.parametrize(
    "spec",
    [
        {"clusterIP": "None", "selector": {"app": "none"}},
        {"type": "ExternalName", "externalName": "conformance.invalid"},
    ],
)
def test_behind_headless_services_and_aliases_nothing_is_waited_for(
    make: Make, namespace: str, spec: dict[str, Any]
) -> None:
    make(SERVICE).create(service(namespace, "web", **spec), timeout=30)


def test_a_load_balancer_and_an_ingress_are_ready_when_they_have_addresses(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    address = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    services = f"/api/v1/namespaces/{namespace}/services/lb"
    ingresses = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/door"

    def give(path: str) -> None:
        eventually(lambda: cluster.get(path))
        cluster.merge(f"{path}/status", address)

    with kubelet(cluster, namespace, bind=True):
        make(DEPLOYMENT).create(workload("Deployment", namespace, "web"), timeout=30)
        later(0.5, lambda: give(services))
        balancer = make(SERVICE, "lb").create(
            service(namespace, "lb", type="LoadBalancer", selector={"app": "web"}), timeout=30
        )
        assert balancer.state.value["status"]["loadBalancer"]["ingress"]

        later(0.5, lambda: give(ingresses))
        door = make("kubernetes:networking.k8s.io/v1:Ingress", "door").create(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": metadata(namespace, "door"),
                "spec": {"defaultBackend": {"service": {"name": "lb", "port": {"number": 80}}}},
            },
            timeout=60,
        )
    assert door.state.value["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.1"


def test_a_namespace_is_ready_when_active_and_gone_when_deleted(
    make: Make, cluster: Cluster
) -> None:
    resource = make("kubernetes:core/v1:Namespace", f"conformance-{secrets.token_hex(4)}")
    resource.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {}})
    assert resource.state.value["status"]["phase"] == "Active"
    make(CONFIG_MAP).create(config_map(resource.object_name, "content"))
    resource.delete(timeout=60)
    assert cluster.get(f"/api/v1/namespaces/{resource.object_name}") is None


def test_a_definition_is_ready_when_its_kind_is_served(
    make: Make, namespace: str, cluster: Cluster
) -> None:
    group = f"{secrets.token_hex(4)}.conformance.invalid"
    crd = make("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", group)
    crd.create(definition(group))
    widget = make(f"kubernetes:{group}/v1:Widget", "w")
    # In the foreground, deletion of a brand-new kind waits up to 30 s for the garbage collector.
    inputs = custom_object(group, namespace, "w", deletionPropagationPolicy="background")
    widget.create(inputs)
    assert widget.state.value["spec"] == {"size": 3}
    widget.delete()
    crd.delete(timeout=30)
    assert cluster.get(f"/apis/{group}/v1") is None


@pytest.mark.parametrize(
    "expression",
    [
        "jsonpath={.status.phase}=Done",
        "jsonpath={.status.phase}",
        "condition=Ready",
        '["condition=Ready", "jsonpath={.status.phase}=Done"]',
    ],
)
def test_any_object_is_waited_for_as_its_annotation_says(
    make: Make, cluster: Cluster, namespace: str, expression: str
) -> None:
    group = f"{secrets.token_hex(4)}.conformance.invalid"
    crd = make("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", group)
    crd.create(definition(group))
    widget = make(f"kubernetes:{group}/v1:Widget", "w")
    path = f"/apis/{group}/v1/namespaces/{namespace}/widgets/w"
    status = {"phase": "Done", "conditions": [{"type": "Ready", "status": "True"}]}

    def finish() -> None:
        eventually(lambda: cluster.get(path))
        cluster.merge(path, {"status": status})

    later(0.5, finish)
    began = time.monotonic()
    widget.create(custom_object(group, namespace, "w", waitFor=expression), timeout=30)
    assert time.monotonic() - began > 0.4
    assert widget.state.value["status"]["phase"] == "Done"
    crd.delete(timeout=30)


def test_nothing_is_waited_for_when_the_annotation_says_so(make: Make, namespace: str) -> None:
    began = time.monotonic()
    make(DEPLOYMENT).create(workload("Deployment", namespace, "web", skipAwait="true"))
    assert time.monotonic() - began < 5


def test_a_custom_timeout_of_the_program_limits_the_wait(make: Make, namespace: str) -> None:
    began = time.monotonic()
    with pytest.raises(InitializationFailedError):
        make(DEPLOYMENT).create(workload("Deployment", namespace, "web"), timeout=1)
    assert time.monotonic() - began < 10


def test_an_unreadable_annotation_is_refused_before_anything_is_changed(
    make: Make, namespace: str
) -> None:
    with pytest.raises(CheckFailedError, match="timeoutSeconds"):
        make(DEPLOYMENT).create(workload("Deployment", namespace, "web", timeoutSeconds="soon"))
