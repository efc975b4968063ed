"""Objects that several tests make."""

from typing import Any

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
JOB = "kubernetes:batch/v1:Job"
SECRET = "kubernetes:core/v1:Secret"
SERVICE = "kubernetes:core/v1:Service"


def config_map(namespace: str, name: str = "", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(namespace, name),
        "data": data or {"key": "value"},
    }


def metadata(namespace: str, name: str = "", **annotations: str) -> dict[str, Any]:
    found: dict[str, Any] = {"namespace": namespace}
    if name:
        found["name"] = name
    if annotations:
        found["annotations"] = {f"pulumi.com/{k}": v for k, v in annotations.items()}
    return found


def pod_spec(**more: Any) -> dict[str, Any]:
    # No image of this name exists: on a cluster with nodes the pods stay unready, which is meant.
    return {"containers": [{"name": "main", "image": "conformance.invalid/none:1"}], **more}


def workload(kind: str, namespace: str, name: str, **annotations: str) -> dict[str, Any]:
    """Return a Deployment, StatefulSet or DaemonSet of one pod."""
    labels = {"app": name}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": dict(labels)}, "spec": pod_spec()},
    }
    if kind != "DaemonSet":
        spec["replicas"] = 1
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": metadata(namespace, name, **annotations),
        "spec": spec,
    }


def job(namespace: str, name: str, **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(namespace, name, **annotations),
        "spec": {"backoffLimit": 0, "template": {"spec": pod_spec(restartPolicy="Never")}},
    }


def definition(group: str, kind: str = "Widget", version: str = "v1") -> dict[str, Any]:
    """Return the CustomResourceDefinition of a namespaced kind whose spec may hold anything."""
    plural = f"{kind.lower()}s"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {"spec": anything, "status": anything},
                        }
                    },
                }
            ],
        },
    }


def custom_object(group: str, namespace: str, name: str, **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{group}/v1",
        "kind": "Widget",
        "metadata": metadata(namespace, name, **annotations),
        "spec": {"size": 3},
    }


def versioned_definition(group: str, **served: bool) -> dict[str, Any]:
    """Return the definition of a kind with several versions; the last one is stored."""
    found = definition(group)
    (first,) = found["spec"]["versions"]
    names = list(served)
    found["spec"]["versions"] = [
        {**first, "name": name, "served": served[name], "storage": name == names[-1]}
        for name in names
    ]
    return found
