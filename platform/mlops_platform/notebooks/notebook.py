"""A Notebook: JupyterLab with the stack's addresses, on a volume of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra import keys_digest
from mlops_infra.buckets import Buckets
from mlops_infra.cluster import Cluster
from mlops_infra.credentials import Credentials
from mlops_infra.identity import Access, Identity
from mlops_infra.image import Image
from mlops_infra.pod_security import USER, manifest_container_context, manifest_pod_context
from mlops_platform.component import Component
from mlops_platform.notebooks.notebook_controller import NOTEBOOKS_NAMESPACE
from mlops_platform.storage import store_environment

_IMAGE = "notebook"
_PORT = 8888
_HOME = "/home/notebook"
_TMP = "/tmp"  # noqa: S108 - an emptyDir of the Pod


@dataclass(frozen=True, kw_only=True)
class NotebookArgs:
    """What a Notebook needs.

    Attributes:
        cluster: where it runs.
        buckets: the object store that its user reads and writes.
        namespace: namespace of Notebooks.
        storage_size: size of its volume, as a Kubernetes quantity.
        addresses: variables that say where the rest of the stack is.
    """

    cluster: Cluster
    buckets: Buckets
    namespace: pulumi.Input[str]
    storage_size: str
    addresses: Mapping[str, pulumi.Input[str]]


class Notebook(Component):
    """JupyterLab behind a random token; its home survives its Pod.

    Attributes:
        url: its address on this machine with the token, secret.
        address: its address without it.
    """

    url: pulumi.Output[str]
    address: pulumi.Output[str]

    TOKEN: ClassVar = "mlops:workloads:Notebook"  # noqa: S105 - a resource's type
    IMAGES: ClassVar = (Image(_IMAGE),)
    IDENTITIES: ClassVar = (
        Identity(
            name="notebook",
            namespace=NOTEBOOKS_NAMESPACE,
            account="default",
            access=(Access(bucket="datasets"), Access(bucket="pipelines", prefix="outcomes/")),
        ),
    )

    def __init__(
        self, name: str, args: NotebookArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.cluster, opts)
        child = self.child
        token = Credentials(f"{name}-credentials", opts=child).secret_key
        secret = kubernetes.core.v1.Secret(
            f"{name}-token",
            metadata={"namespace": args.namespace},
            string_data={"token": token},
            opts=child,
        )
        environment = store_environment.secret(
            f"{name}-environment",
            metadata={"namespace": args.namespace},
            buckets=args.buckets,
            addresses=args.addresses,
            opts=child,
        )
        volume = kubernetes.core.v1.PersistentVolumeClaim(
            f"{name}-home",
            metadata={"namespace": args.namespace},
            spec={
                "access_modes": ["ReadWriteOnce"],
                "storage_class_name": args.cluster.storage_class,
                "resources": {"requests": {"storage": args.storage_size}},
            },
            opts=pulumi.ResourceOptions.merge(child, args.cluster.claim_options()),
        )
        digest = keys_digest.digest(
            environment, {**store_environment.keys(args.buckets), "token": token}
        )
        image = args.cluster.image(_IMAGE)
        notebook = kubernetes.apiextensions.CustomResource(
            f"{name}-server",
            api_version="kubeflow.org/v1",
            kind="Notebook",
            metadata={
                "name": name,
                "namespace": args.namespace,
                "labels": {"app.kubernetes.io/part-of": "mlops-platform"},
            },
            spec=pulumi.Output.all(
                environment=environment.metadata.name,
                secret=secret.metadata.name,
                volume=volume.metadata.name,
                digest=digest,
            ).apply(lambda given: {"template": {"spec": pod(name, image, **given)}}),
            opts=child,
        )
        # The controller's own Service is for Pods alone.
        service = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata={"name": f"{name}-node", "namespace": args.namespace},
            spec={
                "type": "NodePort",
                "selector": {"notebook-name": name},
                "ports": [{"name": "http", "port": 80, "target_port": _PORT}],
            },
            # It waits for a Pod that is ready.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[notebook]),
        )
        root = args.cluster.node_url(service.spec.ports[0].node_port, after=service.id)
        self.address = pulumi.Output.all(root, args.namespace).apply(
            lambda values: f"{values[0]}/notebook/{values[1]}/{name}" if values[0] else ""
        )
        self.url = pulumi.Output.secret(
            pulumi.Output.format("{0}/lab?token={1}", self.address, token)
        )
        self.register_outputs({"address": self.address})


def pod(
    name: str, image: str, *, environment: str, secret: str, volume: str, digest: str
) -> dict[str, Any]:
    """Return the Pod of a Notebook, as in YAML.

    Args:
        name: of the Notebook.
        image: image of JupyterLab.
        environment: Secret of its variables.
        secret: Secret of its token.
        volume: claim of its home.
        digest: of the keys in both Secrets.
    """
    probe = {"tcpSocket": {"port": _PORT}}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": {**manifest_pod_context(), "fsGroup": USER},
        "containers": [
            {
                "name": name,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["notebook-start"],
                "workingDir": _HOME,
                "env": [
                    {"name": "HOME", "value": _HOME},
                    # Other keys, another Pod: the controller lets a change of annotations be.
                    {"name": "KEYS_DIGEST", "value": digest},
                ],
                "envFrom": [{"secretRef": {"name": environment}}],
                "ports": [{"name": "notebook-port", "containerPort": _PORT, "protocol": "TCP"}],
                "securityContext": manifest_container_context(),
                "startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": 120},
                "readinessProbe": {**probe, "periodSeconds": 5},
                "livenessProbe": {**probe, "periodSeconds": 20, "failureThreshold": 6},
                "resources": {
                    "requests": {"cpu": "50m", "memory": "256Mi"},
                    "limits": {"memory": "2Gi"},
                },
                "volumeMounts": [
                    {"name": "home", "mountPath": _HOME},
                    {"name": "token", "mountPath": "/etc/notebook", "readOnly": True},
                    {"name": "tmp", "mountPath": _TMP},
                ],
            }
        ],
        "volumes": [
            {"name": "home", "persistentVolumeClaim": {"claimName": volume}},
            # Read when the server starts: its group alone may.
            {"name": "token", "secret": {"secretName": secret, "defaultMode": 0o440}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
