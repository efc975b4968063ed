"""The flight-delay training: a Job that reads Parquet from S3 and registers a model in MLflow."""

import hashlib
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra.cluster import Cluster
from mlops_platform.mlflow import Mlflow
from mlops_workloads.dataset import Dataset
from mlops_workloads.model_version import ModelVersion

_USER = 65532
_TIMEOUT_SECONDS = 900


@dataclass(frozen=True, kw_only=True)
class FlightDelayTrainingArgs:
    """What a training needs.

    Attributes:
        cluster: where it runs.
        mlflow: where it is tracked and its model registered.
        dataset: the flights.
        store_access_key: S3 access key, secret.
        store_secret_key: S3 secret key, secret.
        store_endpoint: URL of S3 for pods.
        store_region: region that requests are signed for.
        image: reference of the image with the package `flight_delay`.
        months: month or range of 2013, for example 1-3.
        model_name: name under which the model is registered.
    """

    cluster: Cluster
    mlflow: Mlflow
    dataset: Dataset
    store_access_key: pulumi.Input[str]
    store_secret_key: pulumi.Input[str]
    store_endpoint: str
    store_region: str
    image: str
    months: str
    model_name: str


class FlightDelayTraining(pulumi.ComponentResource):
    """One training run per image, data version and set of months; the same inputs train once.

    Attributes:
        job: name of the Job, also the run's tag `training_job`.
        model: the version that it registered.
    """

    job: pulumi.Output[str]
    model: ModelVersion

    def __init__(
        self,
        name: str,
        args: FlightDelayTrainingArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            "mlops:workloads:FlightDelayTraining",
            name,
            None,
            pulumi.ResourceOptions.merge(args.cluster.object_options(), opts),
        )
        child = pulumi.ResourceOptions(parent=self)
        namespace = kubernetes.core.v1.Namespace(
            f"{name}-namespace",
            metadata={
                "name": "training",
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
            opts=child,
        )
        secret = kubernetes.core.v1.Secret(
            f"{name}-object-store",
            metadata={"namespace": namespace.metadata.name},
            string_data={
                "AWS_ACCESS_KEY_ID": args.store_access_key,
                "AWS_SECRET_ACCESS_KEY": args.store_secret_key,
            },
            opts=child,
        )
        identity = "\n".join([args.image, args.months, args.model_name])
        job_name = f"flight-delay-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
        job = kubernetes.batch.v1.Job(
            f"{name}-job",
            metadata={
                "name": job_name,
                "namespace": namespace.metadata.name,
                # A failed Job never runs again by itself; the next `up` makes a new one.
                "annotations": {"pulumi.com/replaceUnready": "true"},
            },
            spec={
                "backoff_limit": 1,
                "active_deadline_seconds": _TIMEOUT_SECONDS,
                "template": {
                    "metadata": {"labels": {"app.kubernetes.io/name": "flight-delay-training"}},
                    "spec": _pod(args, job_name, secret.metadata.name),
                },
            },
            # A finished Job is a record: its own namespace and its name keep runs apart.
            opts=pulumi.ResourceOptions(
                parent=self, custom_timeouts=pulumi.CustomTimeouts(create="15m")
            ),
        )
        self.job = job.metadata.name
        self.model = ModelVersion(
            f"{name}-model",
            # The address waits for the Job: only then the registry knows the version.
            tracking_uri=pulumi.Output.all(args.mlflow.url, job.id).apply(lambda values: values[0]),
            model=args.model_name,
            training=job_name,
            opts=child,
        )
        self.register_outputs({"job": self.job})


def _pod(
    args: FlightDelayTrainingArgs, job_name: str, secret: pulumi.Output[str]
) -> kubernetes.core.v1.PodSpecArgsDict:
    return {
        "automount_service_account_token": False,
        "enable_service_links": False,
        "restart_policy": "Never",
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": _USER,
            "run_as_group": _USER,
            "fs_group": _USER,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "train",
                "image": args.image,
                "image_pull_policy": "IfNotPresent",
                "command": ["python3", "-m", "flight_delay"],
                "args": [
                    "train",
                    "--months", args.months,
                    "--data", args.dataset.uri,
                    "--tracking-uri", args.mlflow.cluster_url,
                    "--experiment", args.model_name,
                    "--register-as", args.model_name,
                    "--tag", f"training_job={job_name}",
                    "--result", "/dev/termination-log",
                ],
                "env_from": [{"secret_ref": {"name": secret}}],
                "env": [
                    {"name": "AWS_ENDPOINT_URL", "value": args.store_endpoint},
                    {"name": "AWS_DEFAULT_REGION", "value": args.store_region},
                    # A server that fails has a reason; seven retries only hide it for minutes.
                    {"name": "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "value": "3"},
                    {"name": "HOME", "value": "/tmp"},  # noqa: S108 - an emptyDir of the pod
                ],
                "security_context": {
                    "allow_privilege_escalation": False,
                    "read_only_root_filesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": {
                    "requests": {"cpu": "500m", "memory": "1Gi"},
                    "limits": {"memory": "4Gi"},
                },
                "volume_mounts": [{"name": "tmp", "mount_path": "/tmp"}],  # noqa: S108
            }
        ],
        "volumes": [{"name": "tmp", "empty_dir": {}}],
    }  # fmt: skip
