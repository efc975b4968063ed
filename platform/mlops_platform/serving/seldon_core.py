"""Seldon Core: SeldonDeployments, by a small controller of ours or by the official operator."""

import json
from dataclasses import dataclass
from typing import ClassVar, Final

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra.cluster import Cluster
from mlops_infra.image import Image, published
from mlops_infra.pod_security import RESTRICTED_CONTAINER, restricted_pod
from mlops_platform import manifest_objects
from mlops_platform.component import Component
from mlops_platform.serving.seldon_crd import DEFINITION

# The last release under Apache-2.0.
VERSION: Final = "1.17.1"
_CHARTS = "https://storage.googleapis.com/seldon-charts"
_SYSTEM = "seldon-system"
_MODELS = "seldon"
MODEL_SERVER: Final = "seldon-model-server"
"""The toolchain's name of Seldon's Python server."""

_NAME = "seldon-controller"
_LABELS = {"app.kubernetes.io/name": _NAME, "app.kubernetes.io/part-of": "mlops-platform"}
_GROUP = "machinelearning.seldon.io"


@dataclass(frozen=True, kw_only=True)
class SeldonImages:
    """The project's own images; the defaults are the toolchain's names.

    Attributes:
        controller: the small controller.
        model_server: Seldon's Python server, which prepackaged servers run on too.
        model_initializer: what fetches a model before its server starts.
    """

    controller: str = "seldon-controller"
    model_server: str = MODEL_SERVER
    model_initializer: str = "storage-initializer"


@dataclass(frozen=True, kw_only=True)
class SeldonCoreArgs:
    """What Seldon Core needs.

    Attributes:
        cluster: where it runs.
    """

    cluster: Cluster


class SeldonCore(Component):
    """What turns SeldonDeployments of one namespace into servers.

    It is the small controller where the project's own images run, and elsewhere the official
    operator, whose chart Pulumi fetches when it previews.

    Attributes:
        namespace: namespace that is watched, known once SeldonDeployments are served.
    """

    namespace: pulumi.Output[str]

    TOKEN: ClassVar = "mlops:platform:SeldonCore"  # noqa: S105 - a resource's type
    NAME: ClassVar = "seldon"
    IMAGES: ClassVar = (
        *published(SeldonImages.controller),
        Image(MODEL_SERVER),
        *published(SeldonImages.model_initializer),
    )

    def __init__(
        self, name: str, args: SeldonCoreArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.cluster, opts)
        system = self.add_namespace(f"{name}-system", _SYSTEM)
        models = self.add_namespace(f"{name}-models", _MODELS)
        images = args.cluster.own_images(SeldonImages())
        ready = (
            self._controller(name, images, system, models)
            if images
            else self._operator(name, system, models)
        )
        self.namespace = pulumi.Output.all(models.metadata.name, ready).apply(
            lambda values: str(values[0])
        )
        self.register_outputs({"namespace": self.namespace})

    def _controller(
        self,
        name: str,
        images: SeldonImages,
        system: kubernetes.core.v1.Namespace,
        models: kubernetes.core.v1.Namespace,
    ) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        (definition,) = manifest_objects.register(f"{name}-definition", [DEFINITION], child)
        account = kubernetes.core.v1.ServiceAccount(
            f"{name}-account",
            metadata={"name": _NAME, "namespace": system.metadata.name},
            opts=child,
        )
        subjects: list[kubernetes.rbac.v1.SubjectArgsDict] = [
            {
                "kind": "ServiceAccount",
                "name": account.metadata.name,
                "namespace": system.metadata.name,
            }
        ]
        role = kubernetes.rbac.v1.Role(
            f"{name}-role",
            metadata={"name": _NAME, "namespace": models.metadata.name},
            rules=[
                {
                    "api_groups": [_GROUP],
                    "resources": ["seldondeployments"],
                    "verbs": ["get", "list", "watch"],
                },
                {
                    "api_groups": [_GROUP],
                    "resources": ["seldondeployments/status"],
                    "verbs": ["patch"],
                },
                {
                    "api_groups": ["apps"],
                    "resources": ["deployments"],
                    "verbs": ["list", "watch", "create", "patch", "delete"],
                },
                {
                    "api_groups": [""],
                    "resources": ["services"],
                    "verbs": ["list", "watch", "create", "patch", "delete"],
                },
                {"api_groups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
            ],
            opts=child,
        )
        bindings: list[pulumi.Resource] = [
            kubernetes.rbac.v1.RoleBinding(
                f"{name}-role-binding",
                metadata={"name": _NAME, "namespace": models.metadata.name},
                role_ref={
                    "api_group": "rbac.authorization.k8s.io",
                    "kind": "Role",
                    "name": role.metadata.name,
                },
                subjects=subjects,
                opts=child,
            ),
            self._overview(name, subjects),
        ]
        deployment = kubernetes.apps.v1.Deployment(
            f"{name}-controller",
            metadata={"name": _NAME, "namespace": system.metadata.name, "labels": _LABELS},
            spec={
                "replicas": 1,
                # Two would write the same objects twice.
                "strategy": {"type": "Recreate"},
                "selector": {"match_labels": _LABELS},
                "template": {
                    "metadata": {"labels": _LABELS},
                    "spec": _pod(images, account.metadata.name),
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[definition, role, *bindings]),
        )
        return deployment.id

    def _overview(
        self, name: str, subjects: list[kubernetes.rbac.v1.SubjectArgsDict]
    ) -> kubernetes.rbac.v1.ClusterRoleBinding:
        """Let kopf look for its kind and its namespace; it waits half a minute where it may not."""
        child = pulumi.ResourceOptions(parent=self)
        role = kubernetes.rbac.v1.ClusterRole(
            f"{name}-overview",
            metadata={"name": _NAME},
            rules=[
                {"api_groups": [group], "resources": [resource], "verbs": ["list", "watch"]}
                for group, resource in (
                    ("", "namespaces"),
                    ("apiextensions.k8s.io", "customresourcedefinitions"),
                )
            ],
            opts=child,
        )
        return kubernetes.rbac.v1.ClusterRoleBinding(
            f"{name}-overview-binding",
            metadata={"name": _NAME},
            role_ref={
                "api_group": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": role.metadata.name,
            },
            subjects=subjects,
            opts=child,
        )

    def _operator(
        self,
        name: str,
        system: kubernetes.core.v1.Namespace,
        models: kubernetes.core.v1.Namespace,
    ) -> pulumi.Output[str]:
        chart = kubernetes.helm.v4.Chart(
            f"{name}-operator",
            chart="seldon-core-operator",
            version=VERSION,
            namespace=system.metadata.name,
            repository_opts={"repo": _CHARTS},
            values={
                "crd": {"create": True},
                "istio": {"enabled": False},
                "ambassador": {"enabled": False},
                "usageMetrics": {"enabled": False},
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[models]),
        )
        return pulumi.Output.from_input(chart.resources).apply(lambda _: VERSION)


def _pod(images: SeldonImages, account: pulumi.Output[str]) -> kubernetes.core.v1.PodSpecArgsDict:
    servers = {
        implementation: {"image": images.model_server, "model_name": f"prepackaged.{server}"}
        for implementation, server in (
            ("SKLEARN_SERVER", "SKLearnServer"),
            ("MLFLOW_SERVER", "MLFlowServer"),
        )
    }
    return {
        **restricted_pod(),
        "automount_service_account_token": True,
        "service_account_name": account,
        "termination_grace_period_seconds": 5,
        "containers": [
            {
                "name": "controller",
                "image": images.controller,
                "image_pull_policy": "IfNotPresent",
                "command": ["python3", "-m", "kopf", "run"],
                "args": [
                    "--standalone",
                    f"--namespace={_MODELS}",
                    "--liveness=http://0.0.0.0:8080/healthz",
                    "--log-format=plain",
                    *("--module", "seldon_controller.handlers"),
                ],
                "env": [
                    # kopf asks for its user's name, and the image knows none.
                    {"name": "USER", "value": _NAME},
                    {"name": "WATCHED_NAMESPACE", "value": _MODELS},
                    {"name": "MODEL_INITIALIZER_IMAGE", "value": images.model_initializer},
                    {"name": "PREPACKAGED_SERVERS", "value": json.dumps(servers, sort_keys=True)},
                ],
                "ports": [{"name": "health", "container_port": 8080}],
                "security_context": RESTRICTED_CONTAINER,
                "startup_probe": {
                    "http_get": {"path": "/healthz", "port": "health"},
                    "period_seconds": 1,
                    "failure_threshold": 60,
                },
                "liveness_probe": {
                    "http_get": {"path": "/healthz", "port": "health"},
                    "period_seconds": 20,
                    "timeout_seconds": 5,
                },
                "resources": {
                    "requests": {"cpu": "20m", "memory": "64Mi"},
                    "limits": {"memory": "160Mi"},
                },
                "volume_mounts": [{"name": "tmp", "mount_path": "/tmp"}],  # noqa: S108
            }
        ],
        "volumes": [{"name": "tmp", "empty_dir": {}}],
    }
