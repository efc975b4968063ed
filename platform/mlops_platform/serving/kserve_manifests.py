"""Upstream's manifests of KServe, and every change that this project makes to them.

The input is what kustomize renders of `config/default` and `config/clusterresources`. Kept is the
controller of InferenceServices with its webhooks and RBAC. Left out are LLMInferenceServices, the
cache of models on nodes with its programs, the proxy in front of the metrics, and cert-manager's
objects where the stack issues the webhooks' certificate itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi

from mlops_platform.upstream_manifests import Manifest, ManifestsError, load, one

NAMESPACE: Final = "kserve"
VERSION: Final = "0.16.0"
WEBHOOK_SERVICE: Final = "kserve-webhook-server-service"
WEBHOOK_SECRET: Final = "kserve-webhook-server-cert"  # noqa: S105 - a name
RUNTIME: Final = "kserve-mlserver"
# Of a host name's part.
_LONGEST_LABEL: Final = 63

_WEBHOOKS: Final = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_CONTROLLER: Final = "kserve-controller-manager"
_KEPT: Final[Mapping[str, frozenset[str]]] = {
    "ServiceAccount": frozenset({_CONTROLLER}),
    "Role": frozenset({"kserve-leader-election-role"}),
    "RoleBinding": frozenset({"kserve-leader-election-rolebinding"}),
    "ClusterRole": frozenset({"kserve-manager-role"}),
    "ClusterRoleBinding": frozenset({"kserve-manager-rolebinding"}),
    "ConfigMap": frozenset({"inferenceservice-config"}),
    "Service": frozenset({WEBHOOK_SERVICE}),
    "Deployment": frozenset({_CONTROLLER}),
    "MutatingWebhookConfiguration": frozenset({"inferenceservice.serving.kserve.io"}),
    "ValidatingWebhookConfiguration": frozenset(
        f"{name}.serving.kserve.io"
        for name in (
            "clusterservingruntime",
            "inferencegraph",
            "inferenceservice",
            "servingruntime",
            "trainedmodel",
        )
    ),
}
# The manager watches each kind that its scheme names, the models' cache among them.
_DEFINITIONS: Final = frozenset(
    f"{name}.serving.kserve.io"
    for name in (
        "clusterservingruntimes",
        "clusterstoragecontainers",
        "inferencegraphs",
        "inferenceservices",
        "localmodelcaches",
        "localmodelnodegroups",
        "localmodelnodes",
        "servingruntimes",
        "trainedmodels",
    )
)
# The user of upstream's distroless image, which names it by a word that Kubernetes cannot judge.
_USER: Final = 65532


@dataclass(frozen=True, kw_only=True)
class KServeImages:
    """The project's own builds, for clusters that cannot pull upstream's images.

    The defaults are the toolchain's names.

    Attributes:
        controller: the controller.
        storage_initializer: what downloads a model before its server starts.
    """

    controller: str = "kserve-controller"
    storage_initializer: str = "storage-initializer"


# What upstream publishes; its own manifests name `latest`.
PUBLISHED: Final = KServeImages(
    controller=f"docker.io/kserve/kserve-controller:v{VERSION}",
    storage_initializer=f"docker.io/kserve/storage-initializer:v{VERSION}",
)


def definitions(rendered: Path) -> list[Manifest]:
    """Return the custom resource definitions.

    Args:
        rendered: the file of `config/default`.

    Raises:
        ManifestsError: the file lacks one.
    """
    found = [
        manifest
        for manifest in load(rendered)
        if manifest["kind"] == "CustomResourceDefinition"
        and manifest["metadata"]["name"] in _DEFINITIONS
    ]
    if missing := sorted(_DEFINITIONS - {manifest["metadata"]["name"] for manifest in found}):
        raise ManifestsError(f"{rendered.name} has no {', '.join(missing)}")
    for manifest in found:
        # For a conversion between versions, of which no definition has two.
        manifest["metadata"].get("annotations", {}).pop("cert-manager.io/inject-ca-from", None)
    return found


def objects(rendered: Path, own: KServeImages | None) -> list[Manifest]:
    """Return what runs and configures the controller, without webhooks and secrets.

    Args:
        rendered: the file of `config/default`.
        own: the project's own builds, or None for what upstream publishes.

    Raises:
        ManifestsError: the file lacks an object that this module keeps or changes.
    """
    kept = _kept(rendered, _KEPT)
    _deployment(kept["Deployment", _CONTROLLER], own)
    _configuration(kept["ConfigMap", "inferenceservice-config"], own or PUBLISHED)
    return [manifest for (kind, _), manifest in kept.items() if kind not in _WEBHOOKS]


def webhooks(rendered: Path, authority: pulumi.Input[str]) -> list[Manifest]:
    """Return the configurations of the webhooks.

    Args:
        rendered: the file of `config/default`.
        authority: base64 of the certificate to trust.

    Raises:
        ManifestsError: the file lacks one.
    """
    kept = _kept(rendered, _KEPT)
    found = [manifest for (kind, _), manifest in kept.items() if kind in _WEBHOOKS]
    for manifest in found:
        manifest["metadata"].pop("annotations", None)
        for webhook in manifest["webhooks"]:
            webhook["clientConfig"]["caBundle"] = authority
    return found


def name_limit() -> list[Manifest]:
    """Return what refuses an InferenceService whose name is too long, with the limit.

    KServe makes a host name `NAME-predictor-NAMESPACE` of it. Of a longer one it takes the object,
    and notes in an event alone that nothing will ever serve.
    """
    name = "inferenceservice-name.mlops-platform"
    most = f"({_LONGEST_LABEL - len('-predictor-')} - size(object.metadata.namespace))"
    return [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": ["serving.kserve.io"],
                            "apiVersions": ["*"],
                            # One that is there already can still be changed, and deleted.
                            "operations": ["CREATE"],
                            "resources": ["inferenceservices"],
                        }
                    ]
                },
                "validations": [
                    {
                        "expression": f"size(object.metadata.name) <= {most}",
                        "messageExpression": (
                            "'the name of an InferenceService in namespace ' + "
                            f"object.metadata.namespace + ' has at most ' + string({most}) + "
                            "' characters, not ' + string(size(object.metadata.name)) + "
                            "', for KServe makes host names of it'"
                        ),
                        "reason": "Invalid",
                    }
                ],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        },
    ]


def runtime(rendered: Path, model_server: str) -> Manifest:
    """Return the runtime of MLServer.

    Args:
        rendered: the file of `config/clusterresources`.
        model_server: image of MLServer with what serves the project's models.

    Raises:
        ManifestsError: the file has no such runtime.
    """
    manifest = one(rendered, "ClusterServingRuntime", RUNTIME)
    (container,) = manifest["spec"]["containers"]
    container |= {
        "image": model_server,
        "imagePullPolicy": "IfNotPresent",
        # The usual probe asks whether the port is open: requests would come before the model is
        # there. KServe puts the InferenceService's name in.
        "readinessProbe": {
            "httpGet": {"path": "/v2/models/{{.Name}}/ready", "port": 8080},
            "periodSeconds": 1,
            "failureThreshold": 60,
        },
        "resources": {
            "requests": {"cpu": "50m", "memory": "256Mi"},
            "limits": {"cpu": "2", "memory": "1Gi"},
        },
    }
    container["env"] += [
        # Processes of its own for each model cost memory and a hop.
        {"name": "MLSERVER_PARALLEL_WORKERS", "value": "0"},
        # Its access log has a line for each probe.
        {"name": "MLSERVER_DEBUG", "value": "false"},
    ]
    return manifest


def storage_container(rendered: Path, images: KServeImages) -> Manifest:
    """Return the description of what downloads models.

    Args:
        rendered: the file of `config/clusterresources`.
        images: what runs.

    Raises:
        ManifestsError: the file has none.
    """
    manifest = one(rendered, "ClusterStorageContainer", "default")
    manifest["spec"]["container"] |= {
        "image": images.storage_initializer,
        "imagePullPolicy": "IfNotPresent",
        "resources": {
            "requests": {"cpu": "10m", "memory": "100Mi"},
            "limits": {"cpu": "1", "memory": "1Gi"},
        },
    }
    return manifest


def _kept(rendered: Path, wanted: Mapping[str, frozenset[str]]) -> dict[tuple[str, str], Manifest]:
    kept = {
        (manifest["kind"], manifest["metadata"]["name"]): manifest
        for manifest in load(rendered)
        if manifest["metadata"]["name"] in wanted.get(manifest["kind"], ())
    }
    every = {(kind, name) for kind, names in wanted.items() for name in names}
    if missing := sorted(every - set(kept)):
        names = ", ".join(f"{kind} {name}" for kind, name in missing)
        raise ManifestsError(f"{rendered.name} has no {names}: it is for another version")
    return kept


def _deployment(deployment: Manifest, own: KServeImages | None) -> None:
    pod = deployment["spec"]["template"]["spec"]
    managers = [each for each in pod["containers"] if each["name"] == "manager"]
    if len(managers) != 1:
        raise ManifestsError(f"{_CONTROLLER} has {len(managers)} containers named manager")
    (container,) = managers
    # The proxy that authenticates readers of the metrics is upstream's other image.
    pod["containers"] = managers
    pod["enableServiceLinks"] = False
    pod["securityContext"] |= {"runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER}
    container["image"], container["imagePullPolicy"] = (own or PUBLISHED).controller, "IfNotPresent"
    if own:  # its program has a name of its own
        container["command"] = ["kserve-controller"]
    # One replica: a restarted one would wait for the lease of the one before it. The metrics'
    # default port stays; only this machine, or the cluster's policies, let anyone reach it.
    container["args"] = []
    container["readinessProbe"] |= {"initialDelaySeconds": 0, "periodSeconds": 2}
    container["startupProbe"] = {
        "httpGet": container["readinessProbe"]["httpGet"],
        "periodSeconds": 1,
        "failureThreshold": 60,
    }
    container["livenessProbe"] |= {"initialDelaySeconds": 0, "periodSeconds": 10}
    container["resources"] = {
        "requests": {"cpu": "20m", "memory": "96Mi"},
        "limits": {"cpu": "1", "memory": "300Mi"},
    }
    deployment["spec"]["replicas"] = 1
    deployment["spec"]["strategy"] = {"type": "Recreate"}


def _configuration(config: Manifest, images: KServeImages) -> None:
    data = config["data"]
    del data["_example"]

    def change(key: str, **values: Any) -> None:
        if key not in data:
            raise ManifestsError(f"inferenceservice-config has no {key}: it is of another version")
        data[key] = json.dumps({**json.loads(data[key]), **values}, indent=1, sort_keys=True)

    change("deploy", defaultDeploymentMode="Standard")
    change("ingress", disableIstioVirtualHost=True, disableIngressCreation=True)
    change(
        "storageInitializer",
        image=images.storage_initializer,
        cpuRequest="10m",
        enableModelcar=False,
    )
    # Servers are no clients of Kubernetes.
    change("security", autoMountServiceAccountToken=False)
    # What an InferenceService that names none asks for; ours name their own.
    change(
        "inferenceService",
        resource={
            "cpuRequest": "50m",
            "memoryRequest": "256Mi",
            "cpuLimit": "2",
            "memoryLimit": "1Gi",
        },
    )
