"""The serving gateway: one address a model, whichever engine and version answers."""

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra.cluster import Cluster
from mlops_infra.image import Image
from mlops_infra.pod_security import RESTRICTED_CONTAINER, restricted_pod
from mlops_platform.component import Component
from mlops_platform.pipelines.pipeline_account import PipelineAccount
from mlops_rollout import gateway, gateway_configuration

_IMAGE = "gateway"
# nginx does not read resolv.conf itself.
_START = """
set -eu
dns=$(awk '/^nameserver/ { print $2; exit }' /etc/resolv.conf)
sed "s/RESOLVER/$dns/" /etc/gateway/nginx.conf > /tmp/nginx.conf
exec nginx -c /tmp/nginx.conf -e /dev/stderr -g 'daemon off;'
"""
# Clients learn late that a Pod ends: it takes requests until they have, tells each that keeps its
# connection to take another, and ends with the last request.
_STOP = f"""
touch {gateway_configuration.DRAINING}
sleep 5
kill -QUIT 1
while kill -0 1; do sleep 0.2; done
"""

_DIGEST = hashlib.sha256(gateway_configuration.BASE.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class ServingGatewayArgs:
    """What the gateway needs.

    Attributes:
        cluster: where it runs.
        pipeline_account: who deploys versions from within the cluster.
    """

    cluster: Cluster
    pipeline_account: PipelineAccount


class ServingGateway(Component):
    """nginx in front of all model servers.

    Its routes are not here: `mlops_rollout.gateway` writes them, as versions come and go.

    Attributes:
        namespace: where it is.
        url: its address on this machine.
        cluster_url: its address for Pods.
    """

    namespace: pulumi.Output[str]
    url: pulumi.Output[str]
    cluster_url: str

    TOKEN: ClassVar = "mlops:workloads:ServingGateway"  # noqa: S105 - a resource's type
    IMAGES: ClassVar = (Image(_IMAGE),)

    def __init__(
        self, name: str, args: ServingGatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.cluster, opts)
        child = self.child
        namespace = self.add_namespace(f"{name}-namespace", gateway.NAMESPACE)
        configuration = kubernetes.core.v1.ConfigMap(
            f"{name}-configuration",
            metadata={"name": "serving-gateway", "namespace": namespace.metadata.name},
            data={"nginx.conf": gateway_configuration.BASE},
            opts=child,
        )
        deployment = kubernetes.apps.v1.Deployment(
            f"{name}-server",
            metadata={"namespace": namespace.metadata.name, "labels": gateway.LABELS},
            spec={
                "replicas": 1,
                "selector": {"match_labels": gateway.LABELS},
                "strategy": {"rolling_update": {"max_surge": 1, "max_unavailable": 0}},
                "template": {
                    "metadata": {
                        "labels": gateway.LABELS,
                        # nginx reads it at its start.
                        "annotations": {"mlops-platform/configuration": _DIGEST},
                    },
                    "spec": _pod(args.cluster.image(_IMAGE), configuration.metadata.name),
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[configuration]),
        )
        service = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata={
                "name": "gateway",
                "namespace": namespace.metadata.name,
                "labels": gateway.LABELS,
            },
            spec={
                "type": "NodePort",
                "selector": gateway.LABELS,
                "ports": [{"name": "http", "port": 80, "target_port": "http"}],
            },
            # It waits for Pods, which a version that fails its test never gets.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[deployment]),
        )
        self.namespace = namespace.metadata.name
        self._deployer_rights(name, args.pipeline_account)
        self.cluster_url = f"http://gateway.{gateway.NAMESPACE}.svc.cluster.local"
        self.url = args.cluster.node_url(service.spec.ports[0].node_port, after=deployment.id)
        self.register_outputs({"url": self.url})

    def _deployer_rights(self, name: str, pipeline_account: PipelineAccount) -> None:
        rules: list[kubernetes.rbac.v1.PolicyRuleArgsDict] = [
            {"api_groups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
            {"api_groups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "update"]},
            {
                "api_groups": ["apps"],
                "resources": ["deployments"],
                "verbs": ["get", "list", "watch", "patch"],
            },
            # One rollout at a time, in the cluster or beside it.
            {
                "api_groups": ["coordination.k8s.io"],
                "resources": ["leases"],
                "verbs": ["get", "create", "update"],
            },
        ]
        pipeline_account.grant(
            f"{name}-deployer", self.namespace, rules, pulumi.ResourceOptions(parent=self)
        )


def _pod(image: str, configuration: pulumi.Output[str]) -> kubernetes.core.v1.PodSpecArgsDict:
    return {
        **restricted_pod(),
        "termination_grace_period_seconds": 40,
        "containers": [
            {
                "name": "nginx",
                "image": image,
                "image_pull_policy": "IfNotPresent",
                "command": ["/bin/sh", "-c", _START],
                "lifecycle": {"pre_stop": {"exec_": {"command": ["/bin/sh", "-c", _STOP]}}},
                "ports": [{"name": "http", "container_port": gateway_configuration.PORT}],
                "security_context": RESTRICTED_CONTAINER,
                "readiness_probe": {
                    "http_get": {"path": "/healthz", "port": "http"},
                    "period_seconds": 1,
                },
                "liveness_probe": {
                    "http_get": {"path": "/healthz", "port": "http"},
                    "period_seconds": 20,
                    "timeout_seconds": 5,
                },
                "resources": {
                    "requests": {"cpu": "50m", "memory": "16Mi"},
                    "limits": {"memory": "64Mi"},
                },
                "volume_mounts": [
                    {"name": "configuration", "mount_path": "/etc/gateway", "read_only": True},
                    {
                        "name": "routes",
                        "mount_path": gateway_configuration.ROUTES_FOLDER,
                        "read_only": True,
                    },
                    {"name": "tmp", "mount_path": "/tmp"},  # noqa: S108
                ],
            }
        ],
        "volumes": [
            {"name": "configuration", "config_map": {"name": configuration}},
            # Not there before the first rollout.
            {"name": "routes", "config_map": {"name": gateway.ROUTES, "optional": True}},
            {"name": "tmp", "empty_dir": {}},
        ],
    }
