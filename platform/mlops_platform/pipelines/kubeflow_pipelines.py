"""Kubeflow Pipelines: the API that runs compiled pipelines, and Argo, which runs their steps."""

from dataclasses import astuple, dataclass
from typing import ClassVar

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra import keys_digest
from mlops_infra.buckets import Buckets
from mlops_infra.cluster import Cluster
from mlops_infra.identity import Access, Identity
from mlops_infra.image import published
from mlops_platform import manifest_objects
from mlops_platform.component import Component
from mlops_platform.pipelines import kubeflow_manifests
from mlops_platform.pipelines.kubeflow_manifests import (
    DATABASE_SECRET,
    METADATA_CONFIG,
    METADATA_DATABASE,
    METADATA_SECRET,
    NAMESPACE,
    PIPELINE_DATABASE,
    RUNNER,
    STORE_SECRET,
    KubeflowImages,
    KubeflowSettings,
)
from mlops_platform.pipelines.mariadb import Database, MariaDb, MariaDbArgs
from mlops_platform.pipelines.pipeline_account import PipelineAccount
from mlops_toolchain import layout

_API_PORT = 8888
# A Service is waited for until a program answers behind it, so it comes with the programs.
_PROGRAMS = ("Deployment", "Service")


@dataclass(frozen=True, kw_only=True)
class KubeflowPipelinesArgs:
    """What Kubeflow Pipelines needs.

    Attributes:
        cluster: where it runs.
        buckets: where pipelines and the artifacts of runs go.
        database_storage_size: size of its volume, as a Kubernetes quantity.
        database: another MySQL server to use instead, with the databases `mlpipeline` and `metadb`.
    """

    cluster: Cluster
    buckets: Buckets
    database_storage_size: str
    database: Database | None = None


class KubeflowPipelines(Component):
    """Kubeflow Pipelines for a single user, with its database.

    Attributes:
        namespace: namespace of everything, and of the runs' pods.
        url: address of the API on this machine.
        cluster_url: address of the API for pods.
        pipeline_account: the service account of the runs' steps, which deploy models too.
        store_keys: digest of the store's keys in its namespace; None where Pods have an identity.
    """

    namespace: pulumi.Output[str]
    url: pulumi.Output[str]
    cluster_url: str
    pipeline_account: PipelineAccount
    store_keys: pulumi.Output[str] | None

    TOKEN: ClassVar = "mlops:platform:KubeflowPipelines"  # noqa: S105 - a resource's type
    IMAGES: ClassVar = (*MariaDb.IMAGES, *published(*astuple(KubeflowImages())))
    IDENTITIES: ClassVar = (
        Identity(
            name="kfp",
            namespace=NAMESPACE,
            account=RUNNER,
            access=(Access(bucket="pipelines", write=True), Access(bucket="datasets")),
        ),
        Identity(
            name="kfp-api",
            namespace=NAMESPACE,
            account="ml-pipeline",
            access=(Access(bucket="pipelines", write=True),),
        ),
    )

    def __init__(
        self, name: str, args: KubeflowPipelinesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.cluster, opts)
        child = self.child
        namespace = kubernetes.core.v1.Namespace(
            f"{name}-namespace",
            # Argo's and the launcher's init containers set no profile of their own.
            metadata={
                "name": NAMESPACE,
                "labels": {
                    "pod-security.kubernetes.io/enforce": "baseline",
                    "pod-security.kubernetes.io/warn": "restricted",
                },
            },
            opts=child,
        )
        self.namespace = namespace.metadata.name
        self.pipeline_account = PipelineAccount(namespace=self.namespace, account=RUNNER)
        database = args.database or self._database(name, args)
        store = args.buckets.store
        values: dict[tuple[str, str], dict[str, pulumi.Input[str]]] = {
            ("database", DATABASE_SECRET): {
                "username": database.user,
                "password": database.password,
            },
            ("metadata", METADATA_SECRET): {METADATA_CONFIG: _metadata_config(database)},
        }
        if not store.keyless:
            values["object-store", STORE_SECRET] = {
                "accesskey": store.access_key,
                "secretkey": store.secret_key,
            }
        secrets: list[pulumi.Resource] = []
        digests: dict[str, pulumi.Output[str]] = {}
        for (purpose, secret_name), data in values.items():
            secret = kubernetes.core.v1.Secret(
                f"{name}-{purpose}",
                metadata={"name": secret_name, "namespace": self.namespace},
                string_data=data,
                opts=child,
            )
            secrets.append(secret)
            digests[secret_name] = keys_digest.digest(secret, data)
        self.store_keys = digests.get(STORE_SECRET)
        manifests = layout.manifests_dir() / "kubeflow-pipelines"
        definitions = manifest_objects.register(
            f"{name}-definition",
            kubeflow_manifests.definitions(manifests / "cluster-scoped.yaml"),
            child,
        )
        objects = kubeflow_manifests.objects(
            manifests / "platform-agnostic.yaml", _settings(args, database)
        )
        configuration = manifest_objects.register(
            f"{name}-upstream",
            [manifest for manifest in objects if manifest["kind"] not in _PROGRAMS],
            pulumi.ResourceOptions(parent=self, depends_on=[namespace]),
        )
        # A program that starts before its configuration ends, and waits longer after each time.
        upstream = manifest_objects.register(
            f"{name}-upstream",
            [manifest for manifest in objects if manifest["kind"] in _PROGRAMS],
            pulumi.ResourceOptions(
                parent=self, depends_on=[*secrets, *definitions, *configuration]
            ),
            digests=digests,
        )
        # It waits for the Deployments: an address nobody serves yet is of no use.
        service = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata={"name": "ml-pipeline-node", "namespace": self.namespace},
            spec={
                "type": "NodePort",
                "selector": {"app": "ml-pipeline"},
                "ports": [{"name": "http", "port": _API_PORT, "target_port": _API_PORT}],
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=upstream),
        )
        self.cluster_url = f"http://ml-pipeline.{NAMESPACE}.svc.cluster.local:{_API_PORT}"
        self.url = args.cluster.node_url(service.spec.ports[0].node_port)
        self.register_outputs({"url": self.url})

    def _database(self, name: str, args: KubeflowPipelinesArgs) -> Database:
        return MariaDb(
            f"{name}-mariadb",
            MariaDbArgs(
                cluster=args.cluster,
                namespace=self.namespace,
                databases=(PIPELINE_DATABASE, METADATA_DATABASE),
                # As in the SQLite databases that ML Metadata was written for.
                exact_databases=(METADATA_DATABASE,),
                storage_size=args.database_storage_size,
            ),
            pulumi.ResourceOptions(parent=self),
        ).database


def _metadata_config(database: Database) -> pulumi.Output[str]:
    return database.password.apply(
        lambda password: kubeflow_manifests.metadata_config(
            host=database.host, port=database.port, user=database.user, password=password
        )
    )


def _settings(args: KubeflowPipelinesArgs, database: Database) -> KubeflowSettings:
    store = args.buckets.store
    return KubeflowSettings(
        images=args.cluster.own_images(KubeflowImages()),
        database_host=database.host,
        database_port=database.port,
        store_host=store.host,
        store_port=store.port,
        store_secure=store.secure,
        store_region=store.region,
        store_keyless=store.keyless,
        bucket=args.buckets.pipelines,
    )
