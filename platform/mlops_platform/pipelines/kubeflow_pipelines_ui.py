"""Kubeflow Pipelines' own UI: graphs of runs, their metrics, artifacts and logs in a browser."""

from dataclasses import astuple, dataclass
from typing import ClassVar, Final

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra import keys_digest
from mlops_infra.buckets import Buckets
from mlops_infra.cluster import Cluster
from mlops_infra.identity import Access, Identity
from mlops_infra.image import published
from mlops_infra.pod_security import RESTRICTED_CONTAINER, restricted_pod
from mlops_platform.component import Component
from mlops_platform.pipelines.kubeflow_manifests import NAMESPACE, STORE_SECRET
from mlops_platform.pipelines.kubeflow_pipelines import KubeflowPipelines

VERSION: Final = "2.14.3"

_PORT = 3000
_PROXY = "metadata-envoy-service"
_PROXY_PORT = 9090
_ACCOUNT = "ml-pipeline-ui"


@dataclass(frozen=True, kw_only=True)
class KubeflowUiImages:
    """The project's own builds, for clusters that cannot pull upstream's images.

    The defaults are the toolchain's names.

    Attributes:
        server: image of the UI and its server.
        metadata_proxy: image of grpcwebproxy, through which browsers speak to ML Metadata.
    """

    server: str = "kubeflow-pipelines-ui"
    metadata_proxy: str = "grpcwebproxy"


@dataclass(frozen=True, kw_only=True)
class KubeflowPipelinesUiArgs:
    """What the UI needs.

    Attributes:
        cluster: where it runs.
        buckets: where runs keep the artifacts that it shows.
        pipelines: what it shows; its namespace holds the Secret with the store's keys.
    """

    cluster: Cluster
    buckets: Buckets
    pipelines: KubeflowPipelines


class KubeflowPipelinesUi(Component):
    """The UI's server, and the proxy through which browsers read ML Metadata.

    Attributes:
        url: address of the UI on this machine.
    """

    url: pulumi.Output[str]

    TOKEN: ClassVar = "mlops:platform:KubeflowPipelinesUi"  # noqa: S105 - a resource's type
    NAME: ClassVar = "kubeflow-ui"
    IMAGES: ClassVar = published(*astuple(KubeflowUiImages()))
    IDENTITIES: ClassVar = (
        Identity(
            name="kfp-ui",
            namespace=NAMESPACE,
            account=_ACCOUNT,
            access=(Access(bucket="pipelines"),),
        ),
    )

    def __init__(
        self, name: str, args: KubeflowPipelinesUiArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.cluster, opts)
        self._name = name
        self._namespace = args.pipelines.namespace
        self._child = pulumi.ResourceOptions(parent=self)
        images = args.cluster.own_images(KubeflowUiImages())
        self._deploy("metadata-proxy", _metadata_proxy(images), {"app": "metadata-proxy"})
        kubernetes.core.v1.Service(
            f"{name}-metadata-proxy-service",
            metadata={"name": _PROXY, "namespace": args.pipelines.namespace},
            spec={
                "selector": {"app": "metadata-proxy"},
                "ports": [{"name": "http", "port": _PROXY_PORT, "target_port": "http"}],
            },
            opts=self._child,
        )
        account = self._account()
        server = self._deploy(
            "server",
            {
                **_server(args, images),
                "service_account_name": account,
                "automount_service_account_token": True,
            },
            {"app": "ml-pipeline-ui"},
            *((args.pipelines.store_keys,) if args.pipelines.store_keys is not None else ()),
        )
        service = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata={"name": "ml-pipeline-ui", "namespace": args.pipelines.namespace},
            spec={
                "type": "NodePort",
                "selector": {"app": "ml-pipeline-ui"},
                "ports": [{"name": "http", "port": 80, "target_port": "http"}],
            },
            opts=self._child,
        )
        # The URL waits for the Deployment: an address nobody serves yet is of no use.
        self.url = args.cluster.node_url(service.spec.ports[0].node_port, after=server.id)
        self.register_outputs({"url": self.url})

    def _deploy(
        self,
        part: str,
        pod: kubernetes.core.v1.PodSpecArgsDict,
        labels: dict[str, str],
        *digests: pulumi.Input[str],
    ) -> kubernetes.apps.v1.Deployment:
        annotations = keys_digest.annotations(*digests)
        return kubernetes.apps.v1.Deployment(
            f"{self._name}-{part}",
            metadata={"namespace": self._namespace, "labels": labels},
            spec={
                "replicas": 1,
                "selector": {"match_labels": labels},
                "template": {
                    "metadata": {"labels": labels, "annotations": annotations},
                    "spec": pod,
                },
            },
            opts=self._child,
        )

    def _account(self) -> pulumi.Output[str]:
        """Return the name of an account that may read what the UI shows.

        Upstream's role reads every Secret and ConfigMap of the namespace, and makes viewers, which
        this installation does not have.
        """
        metadata: kubernetes.meta.v1.ObjectMetaArgsDict = {
            "name": _ACCOUNT,
            "namespace": self._namespace,
        }
        account = kubernetes.core.v1.ServiceAccount(
            f"{self._name}-account", metadata=metadata, opts=self._child
        )
        role = kubernetes.rbac.v1.Role(
            f"{self._name}-role",
            metadata=metadata,
            rules=[
                {"api_groups": [""], "resources": ["pods", "pods/log"], "verbs": ["get"]},
                {"api_groups": [""], "resources": ["events"], "verbs": ["list"]},
                {
                    "api_groups": [""],
                    "resources": ["secrets"],
                    "resource_names": [STORE_SECRET],
                    "verbs": ["get"],
                },
                {
                    "api_groups": ["argoproj.io"],
                    "resources": ["workflows"],
                    "verbs": ["get", "list"],
                },
            ],
            opts=self._child,
        )
        kubernetes.rbac.v1.RoleBinding(
            f"{self._name}-role-binding",
            metadata=metadata,
            role_ref={
                "api_group": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": role.metadata.name,
            },
            subjects=[{"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": self._namespace}],
            opts=self._child,
        )
        return account.metadata.name


def _server(
    args: KubeflowPipelinesUiArgs, images: KubeflowUiImages | None
) -> kubernetes.core.v1.PodSpecArgsDict:
    image = images.server if images else f"ghcr.io/kubeflow/kfp-frontend:{VERSION}"
    return {
        **restricted_pod(),
        "termination_grace_period_seconds": 1,  # the program ignores SIGTERM
        "containers": [
            {
                "name": "ml-pipeline-ui",
                "image": image,
                "image_pull_policy": "IfNotPresent",
                "env": _variables(args),
                "ports": [{"name": "http", "container_port": _PORT}],
                "security_context": RESTRICTED_CONTAINER,
                "startup_probe": _probe(seconds=1, failures=60),
                "readiness_probe": _probe(seconds=10),
                "liveness_probe": _probe(seconds=30),
                "resources": {
                    "requests": {"cpu": "10m", "memory": "96Mi"},
                    "limits": {"memory": "384Mi"},
                },
            }
        ],
    }


def _probe(*, seconds: int, failures: int = 3) -> kubernetes.core.v1.ProbeArgsDict:
    return {
        # Answers also while the API does not: a restart of the UI would not help that.
        "http_get": {"path": "/apis/v2beta1/healthz", "port": "http"},
        "period_seconds": seconds,
        "timeout_seconds": 5,
        "failure_threshold": failures,
    }


def _variables(args: KubeflowPipelinesUiArgs) -> list[kubernetes.core.v1.EnvVarArgsDict]:
    keys = {
        "MINIO_ACCESS_KEY": "accesskey",
        "MINIO_SECRET_KEY": "secretkey",
        "AWS_ACCESS_KEY_ID": "accesskey",
        "AWS_SECRET_ACCESS_KEY": "secretkey",
    }
    plain: list[kubernetes.core.v1.EnvVarArgsDict] = [
        {"name": name, "value": value} for name, value in _environment(args).items()
    ]
    secret: list[kubernetes.core.v1.EnvVarArgsDict] = [
        {"name": name, "value_from": {"secret_key_ref": {"name": STORE_SECRET, "key": key}}}
        for name, key in keys.items()
    ]
    return plain if args.buckets.store.keyless else plain + secret


def _environment(args: KubeflowPipelinesUiArgs) -> dict[str, pulumi.Input[str]]:
    store = args.buckets.store
    return {
        "ML_PIPELINE_SERVICE_HOST": "ml-pipeline",
        "ML_PIPELINE_SERVICE_PORT": "8888",
        "METADATA_ENVOY_SERVICE_SERVICE_HOST": _PROXY,
        "METADATA_ENVOY_SERVICE_SERVICE_PORT": str(_PROXY_PORT),
        "FRONTEND_SERVER_NAMESPACE": args.pipelines.namespace,
        # Logs of pods that are gone. The server adds a namespace to the host unless it is empty.
        "ARGO_ARCHIVE_LOGS": "true",
        "ARGO_ARCHIVE_BUCKETNAME": args.buckets.pipelines,
        "MINIO_HOST": store.host,
        "MINIO_NAMESPACE": "",
        "MINIO_PORT": str(store.port),
        "MINIO_SSL": str(store.secure).lower(),
        # Previews use the endpoint that the launcher notes with each artifact. Downloads use this
        # one, for which the server knows no port: it must be the scheme's own.
        "AWS_S3_ENDPOINT": store.host,
        "AWS_REGION": store.region,
        "AWS_SSL": str(store.secure).lower(),
        # A store that refuses a request must not end the server, as Node.js would have it.
        "NODE_OPTIONS": "--unhandled-rejections=warn",
        # What an artifact's request may name as its store; any other host is refused.
        "ALLOWED_ARTIFACT_ENDPOINTS": f"{store.host}:{store.port}",
        # Artifacts by http would let the server fetch any address for anybody.
        "ALLOWED_ARTIFACT_DOMAIN_REGEX": "^$",
    }


def _metadata_proxy(images: KubeflowUiImages | None) -> kubernetes.core.v1.PodSpecArgsDict:
    container: kubernetes.core.v1.ContainerArgsDict = {
        "name": "proxy",
        "image": f"ghcr.io/kubeflow/kfp-metadata-envoy:{VERSION}",
    }
    if images:
        container = {
            "name": "proxy",
            "image": images.metadata_proxy,
            "command": ["grpcwebproxy"],
            "args": [
                "--backend_addr=metadata-grpc-service:8080",
                "--run_tls_server=false",
                f"--server_http_debug_port={_PROXY_PORT}",
            ],
        }
    return {
        **restricted_pod(),
        "termination_grace_period_seconds": 1,
        "containers": [
            {
                **container,
                "image_pull_policy": "IfNotPresent",
                "ports": [{"name": "http", "container_port": _PROXY_PORT}],
                "security_context": RESTRICTED_CONTAINER,
                "readiness_probe": {"tcp_socket": {"port": "http"}, "period_seconds": 5},
                "liveness_probe": {"tcp_socket": {"port": "http"}, "period_seconds": 30},
                "resources": {
                    "requests": {"cpu": "10m", "memory": "32Mi"},
                    "limits": {"memory": "256Mi"},
                },
            }
        ],
    }
