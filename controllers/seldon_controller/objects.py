"""The Deployments and Services of a SeldonDeployment, named and labelled as the official ones."""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from seldon_controller.manifest import SERVICE_NAME, Manifest, Predictor, Unit

MODEL_FOLDER: Final = "/mnt/models"
DEPLOYMENT_LABEL: Final = "seldon-deployment-id"
_USER = 65532
_HTTP_PORT, _GRPC_PORT, _METRICS_PORT = 9000, 9500, 6000
_LONGEST_NAME = 63


@dataclass(frozen=True, kw_only=True)
class Server:
    """A prepackaged server.

    Attributes:
        image: its image.
        model_name: what the image serves, as its variable MODEL_NAME.
    """

    image: str
    model_name: str


@dataclass(frozen=True, kw_only=True)
class Images:
    """What Pods are made of.

    Attributes:
        initializer: image of the model initializer.
        servers: prepackaged servers by the name of their implementation.
    """

    initializer: str
    servers: Mapping[str, Server]


@dataclass(frozen=True, kw_only=True)
class Children:
    """The objects of a SeldonDeployment.

    Attributes:
        deployments: one for each component of each predictor.
        services: one for each predictor and one for its container.
        endpoints: `serviceStatus` of the status.
        address: URL of the first predictor.
    """

    deployments: list[dict[str, Any]]
    services: list[dict[str, Any]]
    endpoints: dict[str, dict[str, str]]
    address: str


def name_of(*parts: str) -> str:
    """Return a name of parts; one that Kubernetes would refuse for its length becomes a digest."""
    name = "-".join(parts)
    if len(name) <= _LONGEST_NAME:
        return name
    return f"seldon-{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()}"


def build(manifest: Manifest, images: Images) -> Children:
    """Return the objects that a manifest asks for."""
    deployments, services = [], []
    endpoints: dict[str, dict[str, str]] = {}
    address = ""
    for predictor in manifest.predictors:
        ports = (_HTTP_PORT, _GRPC_PORT)
        made = _with_unit_container(predictor)
        index = 0
        for number, component in enumerate(made):
            names = [container["name"] for container in component["spec"]["containers"]]
            deployment = _deployment(manifest, predictor, number, component)
            pod = deployment["spec"]["template"]["spec"]
            for container in pod["containers"]:
                found = _complete(container, index, manifest, predictor, images)
                index += 1
                if container["name"] == predictor.unit.name:
                    ports = found
            if predictor.unit.name in names:
                _add_model(pod, predictor.unit, images)
            _restrict(pod)
            deployments.append(deployment)
        for name, selector in _services(manifest, predictor):
            services.append(_service(manifest, predictor, name, selector, ports))
            endpoints[name] = {
                "svcName": name,
                "httpEndpoint": f"{name}.{manifest.namespace}:{ports[0]}",
                "grpcEndpoint": f"{name}.{manifest.namespace}:{ports[1]}",
            }
            host = f"{name}.{manifest.namespace}.svc.cluster.local:{ports[0]}"
            address = address or f"http://{host}/api/v1.0/predictions"
    return Children(
        deployments=deployments, services=services, endpoints=endpoints, address=address
    )


def _with_unit_container(predictor: Predictor) -> list[dict[str, Any]]:
    """Return the components; a prepackaged server's container needs not be written."""
    components = [copy.deepcopy(dict(each)) for each in predictor.components]
    for component in components:
        component["spec"] = component.get("spec") or {}
        component["spec"]["containers"] = component["spec"].get("containers") or []
    names = [c["name"] for each in components for c in each["spec"]["containers"]]
    if predictor.unit.name not in names:
        components[0]["spec"]["containers"].append({"name": predictor.unit.name})
    return [each for each in components if each["spec"]["containers"]]


def _deployment(
    manifest: Manifest, predictor: Predictor, number: int, component: Mapping[str, Any]
) -> dict[str, Any]:
    given = component.get("metadata") or {}
    containers = [container["name"] for container in component["spec"]["containers"]]
    name = name_of(
        manifest.name, predictor.name, str(number), given.get("name") or "-".join(containers)
    )
    replicas = component.get("replicas")
    labels = {
        **predictor.labels,
        **(given.get("labels") or {}),
        DEPLOYMENT_LABEL: manifest.name,
        "app": name,
        "seldon-app": _service_name(manifest, predictor),
        "version": predictor.labels.get("version", predictor.name),
    }
    if predictor.unit.name in containers:
        labels["seldon-app-svc"] = _container_service(manifest, predictor)
    annotations = {
        **manifest.annotations,
        **predictor.annotations,
        **(given.get("annotations") or {}),
        "prometheus.io/path": "/prometheus",
        "prometheus.io/scrape": "true",
    }
    selected = ("app", "seldon-app", DEPLOYMENT_LABEL)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": manifest.namespace, "labels": labels},
        "spec": {
            "replicas": predictor.replicas if replicas is None else replicas,
            "selector": {"matchLabels": {key: labels[key] for key in selected}},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": component["spec"],
            },
        },
    }


def _complete(
    container: dict[str, Any],
    index: int,
    manifest: Manifest,
    predictor: Predictor,
    images: Images,
) -> tuple[int, int]:
    """Add what a container of Seldon's Python server reads; return its HTTP and gRPC ports."""
    unit = predictor.unit
    given = {port.get("name"): port["containerPort"] for port in container.get("ports") or []}
    ports = {
        "http": given.get("http", _HTTP_PORT + index),
        "grpc": given.get("grpc", _GRPC_PORT + index),
        "metrics": given.get("metrics", _METRICS_PORT + index),
    }
    if container["name"] != unit.name:
        return ports["http"], ports["grpc"]
    container.setdefault("ports", []).extend(
        {"name": name, "containerPort": port, "protocol": "TCP"}
        for name, port in ports.items()
        if name not in given
    )
    variables: dict[str, str] = {}
    if server := images.servers.get(unit.implementation):
        container.setdefault("image", server.image)
        variables["MODEL_NAME"] = server.model_name
    container.setdefault("imagePullPolicy", "IfNotPresent")
    parameters = [dict(each) for each in unit.parameters]
    if unit.model_uri:
        parameters.append({"name": "model_uri", "type": "STRING", "value": MODEL_FOLDER})
    version = predictor.labels.get("version", predictor.name)
    variables |= {
        "PREDICTIVE_UNIT_SERVICE_PORT": str(ports["http"]),
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(ports["http"]),
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(ports["grpc"]),
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(ports["metrics"]),
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
        "PREDICTIVE_UNIT_ID": unit.name,
        "PREDICTIVE_UNIT_IMAGE": container["image"],
        "PREDICTIVE_UNIT_PARAMETERS": json.dumps(parameters),
        "PREDICTOR_ID": predictor.name,
        "PREDICTOR_LABELS": json.dumps({**predictor.labels, "version": version}, sort_keys=True),
        "SELDON_DEPLOYMENT_ID": manifest.name,
    }
    environment = container.setdefault("env", [])
    named = {each["name"] for each in environment}
    environment += [{"name": k, "value": v} for k, v in variables.items() if k not in named]
    probe = {"tcpSocket": {"port": "http"}, "periodSeconds": 5, "failureThreshold": 3}
    container.setdefault("readinessProbe", {**probe, "periodSeconds": 1})
    # A server that still loads its model is not dead.
    container.setdefault("livenessProbe", {**probe, "initialDelaySeconds": 60})
    # Clients learn late that a Pod ends; it answers until they have.
    container.setdefault(
        "lifecycle", {"preStop": {"exec": {"command": ["/bin/sh", "-c", "/bin/sleep 10"]}}}
    )
    return ports["http"], ports["grpc"]


def _add_model(pod: dict[str, Any], unit: Unit, images: Images) -> None:
    """Add the init container that fetches the model, and the volume between the two."""
    if unit.service_account:
        pod.setdefault("serviceAccountName", unit.service_account)
    if not unit.model_uri:
        return
    volume = name_of(unit.name, "provision-location")
    pod.setdefault("volumes", []).append({"name": volume, "emptyDir": {}})
    (container,) = [each for each in pod["containers"] if each["name"] == unit.name]
    container.setdefault("volumeMounts", []).append(
        {"name": volume, "mountPath": MODEL_FOLDER, "readOnly": True}
    )
    initializer: dict[str, Any] = {
        "name": name_of(unit.name, "model-initializer"),
        "image": unit.initializer_image or images.initializer,
        "imagePullPolicy": "IfNotPresent",
        "args": [unit.model_uri, MODEL_FOLDER],
        "volumeMounts": [{"name": volume, "mountPath": MODEL_FOLDER}],
        # Its last lines become the reason in the SeldonDeployment's status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "100m", "memory": "100Mi"}, "limits": {"memory": "1Gi"}},
    }
    if unit.secret:
        initializer["envFrom"] = [{"secretRef": {"name": unit.secret}}]
    pod.setdefault("initContainers", []).append(initializer)


def _restrict(pod: dict[str, Any]) -> None:
    """Add what the Pod Security Standard `restricted` asks for, where the manifest is silent."""
    pod.setdefault("terminationGracePeriodSeconds", 20)
    if "serviceAccountName" not in pod:
        pod.setdefault("automountServiceAccountToken", False)
    pod.setdefault(
        "securityContext",
        {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    )
    for container in [*pod["containers"], *(pod.get("initContainers") or [])]:
        container.setdefault(
            "securityContext",
            {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        )


def _service_name(manifest: Manifest, predictor: Predictor) -> str:
    return predictor.annotations.get(SERVICE_NAME) or name_of(manifest.name, predictor.name)


def _container_service(manifest: Manifest, predictor: Predictor) -> str:
    return name_of(manifest.name, predictor.name, predictor.unit.name)


def _services(manifest: Manifest, predictor: Predictor) -> list[tuple[str, dict[str, str]]]:
    service, container = _service_name(manifest, predictor), _container_service(manifest, predictor)
    # A predictor may have components beside its unit's; only that one answers.
    return [(name, {"seldon-app-svc": container}) for name in (service, container)]


def _service(
    manifest: Manifest,
    predictor: Predictor,
    name: str,
    selector: dict[str, str],
    ports: tuple[int, int],
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": manifest.namespace,
            "labels": {
                **predictor.labels,
                DEPLOYMENT_LABEL: manifest.name,
                "seldon-app": _service_name(manifest, predictor),
            },
        },
        "spec": {
            "type": "ClusterIP",
            "selector": selector,
            "ports": [
                {"name": kind, "port": port, "targetPort": port, "protocol": "TCP"}
                for kind, port in zip(("http", "grpc"), ports, strict=True)
            ],
        },
    }
