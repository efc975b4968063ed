"""What distributed trainings need in a cluster: images, addresses and keys, and who may submit."""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import pulumi

from flight_training.job import FRAMEWORKS, Framework
from mlops_infra.buckets import Buckets
from mlops_infra.cluster import Cluster
from mlops_infra.identity import Access, Identity
from mlops_infra.image import Image
from mlops_infra.pod_security import manifest_container_context, manifest_pod_context
from mlops_platform.component import Component
from mlops_platform.pipelines.pipeline_account import PipelineAccount
from mlops_platform.storage import store_environment
from mlops_platform.training.training_operator import JOBS_NAMESPACE

# A job that hangs must not hold the node for ever.
_MOST_SECONDS: Final = 1800
_KEPT_SECONDS: Final = 3600


@dataclass(frozen=True, kw_only=True)
class TrainingJobsArgs:
    """What the jobs need.

    Attributes:
        name: first part of the objects' names; others in the namespace have others.
        cluster: where they run.
        buckets: where the flights are.
        namespace: the jobs' namespace.
        tracking_uri: MLflow's address in the cluster.
        pipeline_account: the account of the pipeline's steps, which submit jobs too.
    """

    name: str
    cluster: Cluster
    buckets: Buckets
    namespace: pulumi.Input[str]
    tracking_uri: pulumi.Input[str]
    pipeline_account: PipelineAccount


def _image(framework: str) -> str:
    return f"{framework}-training"


class TrainingJobs(Component):
    """A namespace in which the flight-delay network can be trained.

    Attributes:
        settings: namespace and templates of the jobs, as `flight_training.train_step` reads them.
    """

    settings: pulumi.Output[dict[str, Any]]

    TOKEN: ClassVar = "mlops:workloads:TrainingJobs"  # noqa: S105 - a resource's type
    IMAGES: ClassVar = tuple(Image(_image(framework)) for framework in FRAMEWORKS)
    IDENTITIES: ClassVar = (
        Identity(
            name="training",
            namespace=JOBS_NAMESPACE,
            account="default",
            access=(Access(bucket="datasets"),),
        ),
    )

    def __init__(
        self, name: str, args: TrainingJobsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.cluster, opts)
        child = self.child
        environment = f"{args.name}-training-environment"
        secret = store_environment.secret(
            f"{name}-environment",
            metadata={"name": environment, "namespace": args.namespace},
            buckets=args.buckets,
            addresses={"MLFLOW_TRACKING_URI": args.tracking_uri},
            opts=child,
        )
        allowed = args.pipeline_account.grant(
            f"{name}-submitter",
            args.namespace,
            [
                {
                    "api_groups": ["kubeflow.org"],
                    "resources": [f"{each.kind.lower()}s" for each in FRAMEWORKS.values()],
                    # A deletion waits for the end by a watch.
                    "verbs": ["get", "list", "watch", "create", "delete"],
                },
                {
                    "api_groups": [""],
                    "resources": ["pods", "pods/log"],
                    "verbs": ["get", "list", "watch"],
                },
            ],
            child,
            role=f"{args.name}-pipeline-steps",
        )
        self.settings = pulumi.Output.all(args.namespace, secret.id, allowed.id).apply(
            lambda values: {
                "namespace": str(values[0]),
                "templates": {
                    name: template(framework, args.cluster.image(_image(name)), environment)
                    for name, framework in FRAMEWORKS.items()
                },
            }
        )
        self.register_outputs({"settings": self.settings})


def template(framework: Framework, image: str, environment: str) -> dict[str, Any]:
    """Return a job on two workers, without a name and without what they are told.

    Args:
        framework: its framework.
        image: image with that framework and `flight_training`.
        environment: Secret in the jobs' namespace with the addresses and keys of S3 and MLflow.
    """
    replica = {
        "replicas": 1,
        "restartPolicy": "Never",
        "template": _pod(framework, image, environment),
    }
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": framework.kind,
        "metadata": {"labels": {"app.kubernetes.io/part-of": "mlops-platform"}},
        "spec": {
            "runPolicy": {
                "activeDeadlineSeconds": _MOST_SECONDS,
                "backoffLimit": 0,
                "cleanPodPolicy": "Running",
                "ttlSecondsAfterFinished": _KEPT_SECONDS,
            },
            framework.replicas: {framework.first: replica, "Worker": replica},
        },
    }


def _pod(framework: Framework, image: str, environment: str) -> dict[str, Any]:
    return {
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": manifest_pod_context(),
            "containers": [
                {
                    "name": framework.container,
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python3", "-m", "flight_training"],
                    "envFrom": [{"secretRef": {"name": environment}}],
                    "securityContext": manifest_container_context(),
                    "resources": {
                        "requests": {"cpu": "250m", "memory": "512Mi"},
                        "limits": {"memory": "2Gi"},
                    },
                    "volumeMounts": [
                        {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - an emptyDir
                    ],
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        }
    }
