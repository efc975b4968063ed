"""Upstream's manifests of Kubeflow Pipelines, and every change that this project makes to them.

The input is what kustomize renders of `cluster-scoped-resources` and `env/platform-agnostic`. Kept
is what a single-user installation runs: the API server, the persistence agent, the scheduled
workflow controller, ML Metadata and Argo's workflow controller. Left out are the bundled MySQL and
MinIO, the cache server of version 1 (version 2 caches without it), the viewer and visualization
servers, and the UI, which is a component of its own. RBAC of what is kept stays as upstream has it.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pulumi
import yaml

from mlops_platform.upstream_manifests import Manifest, ManifestsError

NAMESPACE: Final = "kubeflow"
# The service account of the runs' steps.
RUNNER: Final = "pipeline-runner"
DATABASE_SECRET: Final = "mysql-secret"  # noqa: S105 - a name
METADATA_SECRET: Final = "metadata-store"  # noqa: S105 - a name
METADATA_CONFIG: Final = "metadata_store_server_config.pbtxt"
STORE_SECRET: Final = "mlpipeline-minio-artifact"  # noqa: S105 - a name
PIPELINE_DATABASE: Final = "mlpipeline"
METADATA_DATABASE: Final = "metadb"

_KEPT: Final[Mapping[str, frozenset[str]]] = {
    "ServiceAccount": frozenset(
        {
            "argo",
            "metadata-grpc-server",
            "ml-pipeline",
            "ml-pipeline-persistenceagent",
            "ml-pipeline-scheduledworkflow",
            "pipeline-runner",
        }
    ),
    "Role": frozenset(
        {
            "argo-role",
            "ml-pipeline",
            "ml-pipeline-persistenceagent-role",
            "ml-pipeline-scheduledworkflow-role",
            "pipeline-runner",
        }
    ),
    "RoleBinding": frozenset(
        {
            "argo-binding",
            "ml-pipeline",
            "ml-pipeline-persistenceagent-binding",
            "ml-pipeline-scheduledworkflow-binding",
            "pipeline-runner-binding",
        }
    ),
    "ConfigMap": frozenset(
        {
            "kfp-launcher",
            "metadata-grpc-configmap",
            "pipeline-install-config",
            "workflow-controller-configmap",
        }
    ),
    "Service": frozenset({"metadata-grpc-service", "ml-pipeline"}),
    "PriorityClass": frozenset({"workflow-controller"}),
    "Deployment": frozenset(
        {
            "metadata-grpc-deployment",
            "ml-pipeline",
            "ml-pipeline-persistenceagent",
            "ml-pipeline-scheduledworkflow",
            "workflow-controller",
        }
    ),
}
# Definitions of kinds that nothing kept uses.
_UNUSED_DEFINITIONS: Final = frozenset({"applications.app.k8s.io", "viewers.kubeflow.org"})
# What the file of ML Metadata's server says instead.
_DATABASE_ARGUMENTS: Final = ("--mysql_config_", "--enable_database_upgrade")
_METADATA_FOLDER: Final = "/etc/metadata-store"
_PODS_STAY: Final = "10m"
# Containers of upstream's images run as this user and the group root; ours can too.
_USER: Final = 1000


@dataclass(frozen=True, kw_only=True)
class KubeflowImages:
    """The project's own builds, for clusters that cannot pull upstream's images.

    The defaults are the toolchain's names.

    Attributes:
        api_server: image of the API server.
        persistence_agent: image of the persistence agent.
        scheduled_workflow: image of the scheduled workflow controller.
        metadata: image of ML Metadata.
        workflow_controller: image of Argo's controller.
        driver: image that decides what a step runs with.
        launcher: image whose program starts a step's own command.
        executor: image of Argo's executor.
    """

    api_server: str = "kfp-api-server"
    persistence_agent: str = "kfp-persistence-agent"
    scheduled_workflow: str = "kfp-scheduled-workflow"
    metadata: str = "ml-metadata"
    workflow_controller: str = "workflow-controller"
    driver: str = "kfp-driver"
    launcher: str = "kfp-launcher"
    executor: str = "argoexec"


@dataclass(frozen=True, kw_only=True)
class KubeflowSettings:
    """What the manifests are changed to.

    Attributes:
        images: the project's own images, or None for upstream's published ones.
        database_host: name of the MySQL server.
        database_port: its TCP port.
        store_host: name of the S3 API for pods.
        store_port: its TCP port.
        store_secure: whether it speaks TLS.
        store_region: region that requests are signed for.
        store_keyless: whether programs find their own credentials for it.
        bucket: bucket of pipelines and run artifacts.
    """

    images: KubeflowImages | None
    database_host: str
    database_port: int
    store_host: str
    store_port: int
    store_secure: bool
    store_region: str
    store_keyless: bool
    bucket: str | pulumi.Output[str]


def definitions(rendered: Path) -> list[Manifest]:
    """Return the custom resource definitions.

    Args:
        rendered: the file of `cluster-scoped-resources`.
    """
    return [
        manifest
        for manifest in _load(rendered)
        if manifest["kind"] == "CustomResourceDefinition"
        and manifest["metadata"]["name"] not in _UNUSED_DEFINITIONS
    ]


def objects(rendered: Path, settings: KubeflowSettings) -> list[Manifest]:
    """Return what the namespace holds, without its secrets.

    Args:
        rendered: the file of `env/platform-agnostic`.
        settings: what to change.

    Raises:
        ManifestsError: the file lacks an object that this module keeps or changes.
    """
    kept = {
        (manifest["kind"], manifest["metadata"]["name"]): manifest
        for manifest in _load(rendered)
        if manifest["metadata"]["name"] in _KEPT.get(manifest["kind"], ())
    }
    wanted = {(kind, name) for kind, names in _KEPT.items() for name in names}
    if missing := sorted(wanted - set(kept)):
        names = ", ".join(f"{kind} {name}" for kind, name in missing)
        raise ManifestsError(f"{rendered.name} has no {names}: it is for another version")
    for (kind, name), change in _CHANGES.items():
        change(kept[kind, name], settings)
    return list(kept.values())


def metadata_config(*, host: str, port: int, user: str, password: str) -> str:
    """Return the configuration file of ML Metadata's server, which holds the password."""
    connection = {"host": host, "user": user, "password": password, "database": METADATA_DATABASE}
    # A text of Protobuf is quoted as one of JSON, and its other characters are UTF-8.
    fields = [f"{key}: {json.dumps(text, ensure_ascii=False)}" for key, text in connection.items()]
    return (
        f"connection_config {{ mysql {{ {' '.join(fields)} port: {port} }} }}\n"
        "migration_options { enable_upgrade_migration: true }\n"
    )


def _load(rendered: Path) -> Iterable[Manifest]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    documents: Iterable[Manifest] = yaml.load_all(rendered.read_text(), Loader=loader)
    return documents


def _install_config(config: Manifest, settings: KubeflowSettings) -> None:
    data = config["data"]
    del data["warning"]
    for key in ("dbHost", "mysqlHost"):
        data[key] = settings.database_host
    for key in ("dbPort", "mysqlPort"):
        data[key] = str(settings.database_port)
    data["bucketName"] = settings.bucket
    data["pipelineDb"], data["mlmdDb"] = PIPELINE_DATABASE, METADATA_DATABASE


def _launcher_config(config: Manifest, settings: KubeflowSettings) -> None:
    """Where steps keep artifacts: `s3://`, since `minio://` signs for a region of that name."""
    scheme = "https" if settings.store_secure else "http"
    keys = {
        "secretName": STORE_SECRET,
        "accessKeyKey": "accesskey",
        "secretKeyKey": "secretkey",
    }
    config["data"] = {
        "defaultPipelineRoot": _of_bucket(settings, "s3://{}/artifacts".format),
        "providers": yaml.safe_dump(
            {
                "s3": {
                    "default": {
                        "endpoint": f"{scheme}://{settings.store_host}:{settings.store_port}",
                        "region": settings.store_region,
                        "disableSSL": not settings.store_secure,
                        "forcePathStyle": True,
                        "credentials": {"fromEnv": True}
                        if settings.store_keyless
                        else {"fromEnv": False, "secretRef": keys},
                    }
                }
            }
        ),
    }


def _argo_config(config: Manifest, settings: KubeflowSettings) -> None:
    given = config["data"]["artifactRepository"]

    def repository(bucket: str) -> str:
        found = yaml.safe_load(given)
        # Logs outlive their pods; the UI looks for them at this key.
        found["s3"] |= {
            "endpoint": f"{settings.store_host}:{settings.store_port}",
            "bucket": bucket,
            "region": settings.store_region,
            "insecure": not settings.store_secure,
        }
        if settings.store_keyless:
            for key in ("accessKeySecret", "secretKeySecret"):
                del found["s3"][key]
            found["s3"]["useSDKCreds"] = True
        return str(yaml.safe_dump(found))

    config["data"] |= {
        "artifactRepository": _of_bucket(settings, repository),
        "executor": yaml.safe_dump(
            {
                "imagePullPolicy": "IfNotPresent",
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
            }
        ),
        # Merged into every workflow. Steps run as the images' user.
        "workflowDefaults": yaml.safe_dump(
            {
                "spec": {
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "runAsGroup": 65532,
                        "fsGroup": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    # A node pays for each Pod that has ended; their logs are kept in the store.
                    # Those of a run that failed stay for whoever asks why.
                    "podGC": {"strategy": "OnWorkflowSuccess", "deleteDelayDuration": _PODS_STAY},
                }
            }
        ),
    }


def _api_server(deployment: Manifest, settings: KubeflowSettings) -> None:
    container = _container(deployment)
    environment = {
        "OBJECTSTORECONFIG_HOST": settings.store_host,
        "OBJECTSTORECONFIG_PORT": str(settings.store_port),
        "OBJECTSTORECONFIG_REGION": settings.store_region,
        "OBJECTSTORECONFIG_SECURE": str(settings.store_secure).lower(),
        # Its own `utf8` refuses characters of four bytes.
        "DBCONFIG_MYSQLCONFIG_EXTRAPARAMS": json.dumps({"charset": "utf8mb4"}),
        # Without it the first try that meets no database is followed by long waits.
        "INITCONNECTIONTIMEOUT": "60s",
        # It asks for the address of a server that this installation leaves out.
        "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_HOST": "localhost",
        "ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_PORT": "8888",
    }
    if settings.store_keyless:
        # Left out, they would be upstream's defaults.
        environment |= {"OBJECTSTORECONFIG_ACCESSKEY": "", "OBJECTSTORECONFIG_SECRETACCESSKEY": ""}
    if images := settings.images:
        container["command"] = [
            "kfp-api-server", "--config=/config", "-logtostderr=true", "--logLevel=info",
        ]  # fmt: skip
        container["image"] = images.api_server
        environment |= {
            "V2_DRIVER_IMAGE": images.driver,
            "V2_DRIVER_COMMAND": "kfp-driver",
            "V2_LAUNCHER_IMAGE": images.launcher,
            "V2_LAUNCHER_COMMAND": "kfp-launcher",
        }
    _set_environment(container, environment)
    # The startup probe has waited for it; from then on it answers.
    for probe in ("livenessProbe", "readinessProbe"):
        container[probe] |= {"initialDelaySeconds": 0}
    container["startupProbe"] |= {"periodSeconds": 1, "failureThreshold": 120}
    container["resources"] = _resources(cpu="50m", memory="100Mi", limit="512Mi")
    pod = deployment["spec"]["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = 5  # the program ignores the first SIGTERM
    pod["enableServiceLinks"] = False


def _persistence_agent(deployment: Manifest, settings: KubeflowSettings) -> None:
    container = _container(deployment)
    if images := settings.images:
        container["image"] = images.persistence_agent
        container["command"] = [
            "kfp-persistence-agent", "--logtostderr=true", f"--namespace={NAMESPACE}",
            "--ttlSecondsAfterWorkflowFinish=86400", "--numWorker=2",
            "--executionType=Workflow", "--logLevel=info",
        ]  # fmt: skip
    container["resources"] = _resources(cpu="20m", memory="60Mi", limit="256Mi")


def _scheduled_workflow(deployment: Manifest, settings: KubeflowSettings) -> None:
    container = _container(deployment)
    if images := settings.images:
        container["image"] = images.scheduled_workflow
        container["command"] = [
            "kfp-scheduled-workflow", "--logtostderr=true", f"--namespace={NAMESPACE}",
            "--logLevel=info",
        ]  # fmt: skip
    container["resources"] = _resources(cpu="10m", memory="40Mi", limit="256Mi")


def _metadata(deployment: Manifest, settings: KubeflowSettings) -> None:
    container = _container(deployment)
    if images := settings.images:
        container["image"] = images.metadata
        container["command"] = ["python3", "-m", "metadata_server"]
    # Upstream's arguments hold the database's password, and everybody on the node's machine may
    # read the arguments of every process.
    container["args"] = [
        *(word for word in container["args"] if not word.startswith(_DATABASE_ARGUMENTS)),
        f"--metadata_store_server_config_file={_METADATA_FOLDER}/{METADATA_CONFIG}",
    ]
    container["env"] = []
    container["volumeMounts"] = [
        {"name": "configuration", "mountPath": _METADATA_FOLDER, "readOnly": True}
    ]
    pod = deployment["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "configuration", "secret": {"secretName": METADATA_SECRET}}]
    for probe in ("livenessProbe", "readinessProbe"):
        container[probe] |= {"initialDelaySeconds": 0}
    container["startupProbe"] = {
        **container["readinessProbe"],
        "periodSeconds": 1,
        "failureThreshold": 120,
    }
    container["resources"] = _resources(cpu="20m", memory="64Mi", limit="512Mi")


def _workflow_controller(deployment: Manifest, settings: KubeflowSettings) -> None:
    container = _container(deployment)
    if images := settings.images:
        container["image"] = images.workflow_controller
        arguments = container["args"]
        arguments[arguments.index("--executor-image") + 1] = images.executor
        # Our image names no user; upstream's does.
        container["securityContext"] |= {"runAsUser": _USER}
    container["args"] += ["--qps=100", "--burst=200"]
    _set_environment(
        container,
        {
            # Ten seconds between two looks at a workflow, by default, are most of a short run. Each
            # change of a Pod waits as long, and a Pod's end is three changes.
            "DEFAULT_REQUEUE_TIME": "100ms",
            # One replica: a restarted one would wait for the lease of the one before it.
            "LEADER_ELECTION_DISABLE": "true",
        },
    )
    container["resources"] = _resources(cpu="50m", memory="64Mi", limit="512Mi")


def _of_bucket(settings: KubeflowSettings, text: Callable[[str], str]) -> str | pulumi.Output[str]:
    """Return a text with the bucket's name, which some stores choose themselves."""
    bucket = settings.bucket
    if isinstance(bucket, str):
        return text(bucket)
    return bucket.apply(text)


def _container(deployment: Manifest) -> Manifest:
    containers: list[Manifest] = deployment["spec"]["template"]["spec"]["containers"]
    if len(containers) != 1:
        raise ManifestsError(f"{deployment['metadata']['name']} has {len(containers)} containers")
    return containers[0]


def _set_environment(container: Manifest, environment: Mapping[str, str]) -> None:
    kept = [entry for entry in container.get("env", []) if entry["name"] not in environment]
    added = [{"name": name, "value": value} for name, value in environment.items()]
    container["env"] = kept + added


def _resources(*, cpu: str, memory: str, limit: str) -> Manifest:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": limit}}


_CHANGES: Final[Mapping[tuple[str, str], Callable[[Manifest, KubeflowSettings], None]]] = {
    ("ConfigMap", "pipeline-install-config"): _install_config,
    ("ConfigMap", "kfp-launcher"): _launcher_config,
    ("ConfigMap", "workflow-controller-configmap"): _argo_config,
    ("Deployment", "ml-pipeline"): _api_server,
    ("Deployment", "ml-pipeline-persistenceagent"): _persistence_agent,
    ("Deployment", "ml-pipeline-scheduledworkflow"): _scheduled_workflow,
    ("Deployment", "metadata-grpc-deployment"): _metadata,
    ("Deployment", "workflow-controller"): _workflow_controller,
}
