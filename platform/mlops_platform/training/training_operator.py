"""The training operator: TFJobs and PyTorchJobs, distributed over Pods."""

from dataclasses import dataclass
from typing import ClassVar

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra.cluster import Cluster
from mlops_infra.image import Image, published
from mlops_platform import manifest_objects
from mlops_platform.component import Component
from mlops_platform.training import training_manifests
from mlops_platform.training.training_manifests import NAMESPACE
from mlops_toolchain import layout

JOBS_NAMESPACE = "training"
_OPERATOR = "training-operator"
# With a shell and `nslookup`, in which workers wait for their master
_INIT_CONTAINER = "busybox"


@dataclass(frozen=True, kw_only=True)
class TrainingOperatorArgs:
    """What the training operator needs.

    Attributes:
        cluster: where it runs.
    """

    cluster: Cluster


class TrainingOperator(Component):
    """The operator of TFJobs and PyTorchJobs.

    Attributes:
        namespace: namespace of jobs, known once they are accepted.
    """

    namespace: pulumi.Output[str]

    TOKEN: ClassVar = "mlops:platform:TrainingOperator"  # noqa: S105 - a resource's type
    NAME: ClassVar = "training-operator"
    IMAGES: ClassVar = (*published(_OPERATOR), Image(_INIT_CONTAINER))

    def __init__(
        self, name: str, args: TrainingOperatorArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.cluster, opts)
        child = self.child
        rendered = layout.manifests_dir() / "training-operator" / "standalone.json"
        objects = training_manifests.objects(
            rendered,
            operator=args.cluster.own_image(_OPERATOR),
            init_container=args.cluster.image(_INIT_CONTAINER),
        )
        webhook = training_manifests.webhook(rendered)
        system = self.add_namespace(f"{name}-system", NAMESPACE)
        # Jobs run what teams write, whose manifests seldom set a profile.
        jobs = self.add_namespace(f"{name}-jobs", JOBS_NAMESPACE, level="baseline")
        definitions = manifest_objects.register(
            f"{name}-definition", training_manifests.definitions(rendered), child
        )
        # The operator fills it.
        secret = kubernetes.core.v1.Secret(
            f"{name}-webhook-certificate",
            metadata={
                "name": training_manifests.secret(rendered),
                "namespace": system.metadata.name,
            },
            opts=child,
        )
        # The operator writes whom to trust into the webhook's configuration before it is ready.
        (configured,) = manifest_objects.register(f"{name}-webhook", [webhook], child)
        programs = manifest_objects.register(
            f"{name}-upstream",
            objects,
            pulumi.ResourceOptions(
                parent=self, depends_on=[system, secret, configured, *definitions]
            ),
        )
        self.namespace = pulumi.Output.all(
            jobs.metadata.name, *(program.urn for program in programs)
        ).apply(lambda values: str(values[0]))
        self.register_outputs({"namespace": self.namespace})
