"""Upstream's manifests of the training operator, and every change that this project makes to them.

Kept are TFJobs and PyTorchJobs; left out are the jobs of MXNet, MPI, Paddle and XGBoost with their
definitions and webhooks. The operator has a namespace of its own, and makes its
webhook's certificate itself.
"""

from pathlib import Path
from typing import Final

from mlops_infra.pod_security import (
    USER,
    manifest_container_context,
    manifest_pod_context,
)
from mlops_platform.upstream_manifests import Manifest, ManifestsError, one

NAMESPACE: Final = "training-operator"
_NAME: Final = "training-operator"
_JOBS: Final = ("pytorchjob", "tfjob")
_WEBHOOK: Final = "ValidatingWebhookConfiguration"
_KEPT: Final = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Service", "Deployment")
_TEMPLATE: Final = "pytorch-init-container"
# Upstream's asks `nslookup` whether it succeeded, which busybox's answers with an error as soon as
# one of the search domains does not know the name.
_INIT_CONTAINER: Final = """\
- name: init-pytorch
  image: {{.InitContainerImage}}
  imagePullPolicy: IfNotPresent
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {cpu: 100m, memory: 32Mi}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    allowPrivilegeEscalation: false
    capabilities: {drop: [ALL]}
    seccompProfile: {type: RuntimeDefault}
  command:
    - sh
    - -c
    - |
      for i in $(seq {{.MaxTries}}); do
        nslookup {{.MasterAddr}} 2>/dev/null | grep -q "^Name:" && exit 0
        echo "waiting for {{.MasterAddr}}"
        sleep 1
      done
      exit 1
"""


def definitions(rendered: Path) -> list[Manifest]:
    """Return the custom resource definitions of TFJobs and PyTorchJobs.

    Args:
        rendered: the file of `overlays/standalone`.

    Raises:
        ManifestsError: the file lacks one.
    """
    return [
        one(rendered, "CustomResourceDefinition", f"{job}s.kubeflow.org") for job in sorted(_JOBS)
    ]


def objects(rendered: Path, *, operator: str | None, init_container: str) -> list[Manifest]:
    """Return what runs and configures the operator, without webhook and secret.

    Args:
        rendered: the file of `overlays/standalone`.
        operator: image of the project's build, whose program has its own name; None for
            upstream's.
        init_container: image with a shell and `nslookup`, in which PyTorchJobs' workers wait for
            their master.

    Raises:
        ManifestsError: the file lacks an object that this module keeps or changes.
    """
    kept = {kind: one(rendered, kind, _NAME) for kind in _KEPT}
    for subject in kept["ClusterRoleBinding"]["subjects"]:
        subject["namespace"] = NAMESPACE
    # The port of the metrics is open for nobody yet.
    service = kept["Service"]
    service["metadata"].pop("annotations", None)
    service["spec"]["ports"] = [
        port for port in service["spec"]["ports"] if port["name"] == "webhook-server"
    ]
    _deployment(kept["Deployment"], operator, init_container)
    template = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _TEMPLATE, "namespace": NAMESPACE},
        "data": {"initContainer.yaml": _INIT_CONTAINER},
    }
    return [template, *(_moved(manifest) for manifest in kept.values())]


def secret(rendered: Path) -> str:
    """Return the name of the Secret that the operator writes its certificate into.

    Args:
        rendered: the file of `overlays/standalone`.

    Raises:
        ManifestsError: the file has none.
    """
    return str(one(rendered, "Secret", f"{_NAME}-webhook-cert")["metadata"]["name"])


def webhook(rendered: Path) -> Manifest:
    """Return the configuration of the webhook; the operator writes whom to trust into it.

    Args:
        rendered: the file of `overlays/standalone`.

    Raises:
        ManifestsError: the file lacks it, or a webhook of one of the jobs.
    """
    found = one(rendered, _WEBHOOK, f"validator.{_NAME}.kubeflow.org")
    wanted = {f"validator.{job}.{_NAME}.kubeflow.org" for job in _JOBS}
    found["webhooks"] = [each for each in found["webhooks"] if each["name"] in wanted]
    if missing := sorted(wanted - {each["name"] for each in found["webhooks"]}):
        raise ManifestsError(
            f"{rendered.name} has no {', '.join(missing)}: it is for another version"
        )
    for each in found["webhooks"]:
        each["clientConfig"]["service"]["namespace"] = NAMESPACE
    return found


def _moved(manifest: Manifest) -> Manifest:
    if "namespace" in manifest["metadata"]:
        manifest["metadata"]["namespace"] = NAMESPACE
    return manifest


def _deployment(deployment: Manifest, operator: str | None, init_container: str) -> None:
    pod = deployment["spec"]["template"]["spec"]
    if len(pod["containers"]) != 1:
        raise ManifestsError(f"{_NAME} has {len(pod['containers'])} containers instead of one")
    (container,) = pod["containers"]
    pod["enableServiceLinks"] = False
    pod["securityContext"] = {**manifest_pod_context(), "fsGroup": USER}
    container["securityContext"] = manifest_container_context()
    container["imagePullPolicy"] = "IfNotPresent"
    # Upstream's manifests name the image of their version by its commit.
    if operator:
        container["image"], container["command"] = operator, ["training-operator"]
    container["args"] = [
        *(f"--enable-scheme={job}" for job in _JOBS),
        f"--pytorch-init-container-image={init_container}",
    ]
    container["readinessProbe"] |= {"initialDelaySeconds": 0, "periodSeconds": 2}
    container["startupProbe"] = {
        "httpGet": container["readinessProbe"]["httpGet"],
        "periodSeconds": 1,
        "failureThreshold": 60,
    }
    container["livenessProbe"] |= {"initialDelaySeconds": 0, "periodSeconds": 10}
    container["resources"] = {
        "requests": {"cpu": "20m", "memory": "64Mi"},
        "limits": {"cpu": "1", "memory": "256Mi"},
    }
    # The program's default address of the template.
    container["volumeMounts"].append({"name": "template", "mountPath": "/etc/config"})
    pod["volumes"].append({"name": "template", "configMap": {"name": _TEMPLATE}})
    deployment["spec"]["replicas"] = 1
    deployment["spec"]["strategy"] = {"type": "Recreate"}
