"""Plays the kubelet on a control plane without nodes.

It writes to the pods of one namespace the status that a kubelet would write: no container ever
runs. Tests that need a running container carry the marker `cluster` instead.
"""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.conformance.cluster import Cluster
from tests.conformance.protocol import eventually

_NOW = "2024-01-01T00:00:00Z"


def running(pod: dict[str, Any], address: str) -> dict[str, Any]:
    """Return the status of a pod whose containers all run and are ready."""
    containers = [
        {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": True,
            "started": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": _NOW}},
        }
        for container in pod["spec"]["containers"]
    ]
    conditions = [
        {"type": t, "status": "True"} for t in ("PodScheduled", "ContainersReady", "Ready")
    ]
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": conditions,
        "containerStatuses": containers,
    }


def crashing(pod: dict[str, Any], _: str) -> dict[str, Any]:
    """Return the status of a pod whose containers crash again and again."""
    containers = [
        {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": False,
            "restartCount": 3,
            "state": {
                "waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting"}
            },
        }
        for container in pod["spec"]["containers"]
    ]
    conditions = [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]
    return {"phase": "Running", "conditions": conditions, "containerStatuses": containers}


def ended(code: int) -> Any:
    """Return what makes the status of a pod whose containers have ended with a code."""

    def status(pod: dict[str, Any], _: str) -> dict[str, Any]:
        reason = "Completed" if code == 0 else "Error"
        terminated = {"exitCode": code, "reason": reason, "finishedAt": _NOW, "startedAt": _NOW}
        containers = [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": terminated},
            }
            for container in pod["spec"]["containers"]
        ]
        return {"phase": "Failed" if code else "Succeeded", "containerStatuses": containers}

    return status


def add_node(cluster: Cluster, name: str) -> None:
    """Add a node that says it is ready, and wait until the controllers believe it."""
    path = f"/api/v1/nodes/{name}"
    cluster.create("/api/v1/nodes", {"metadata": {"name": name}})
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    cluster.merge(f"{path}/status", {"status": {"conditions": [ready]}})
    eventually(lambda: not cluster.must_get(path)["spec"].get("taints"), seconds=20)


@contextmanager
def kubelet(
    cluster: Cluster, namespace: str, status: Any = running, *, bind: bool = False
) -> Iterator[None]:
    """Give every pod of a namespace a status, for the time of a context.

    Args:
        cluster: with or without nodes; one with nodes has kubelets that write over this one's word.
        namespace: whose pods to take care of.
        status: makes a pod's status.
        bind: play the scheduler too: bind the pods to a node that exists for the context's time,
            as the endpoints of Services need it.
    """
    stop = threading.Event()
    addresses = (f"10.99.{i // 250}.{i % 250 + 1}" for i in itertools.count())
    seen: set[str] = set()
    node = f"conformance-{namespace[-8:]}"
    if bind:
        add_node(cluster, node)

    def work() -> None:
        while not stop.wait(0.1):
            for pod in cluster.items(f"/api/v1/namespaces/{namespace}/pods"):
                path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}"
                if "deletionTimestamp" in pod["metadata"]:
                    cluster.delete(f"{path}?gracePeriodSeconds=0")
                elif pod["metadata"]["uid"] not in seen:
                    if bind and not pod["spec"].get("nodeName"):
                        target = {"kind": "Node", "name": node}
                        named = {"name": pod["metadata"]["name"]}
                        cluster.create(f"{path}/binding", {"metadata": named, "target": target})
                    body = {"status": status(pod, next(addresses))}
                    if cluster.merge(f"{path}/status", body) is not None:
                        seen.add(pod["metadata"]["uid"])

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        if bind:
            for pod in cluster.items(f"/api/v1/namespaces/{namespace}/pods"):
                name = pod["metadata"]["name"]
                path = f"/api/v1/namespaces/{namespace}/pods/{name}?gracePeriodSeconds=0"
                cluster.delete(path)
            cluster.delete(f"/api/v1/nodes/{node}")
