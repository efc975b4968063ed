"""What a workload is given: the components of a stack, as far as it has them."""

from dataclasses import dataclass

from mlops_infra.buckets import Buckets
from mlops_infra.cluster import Cluster
from mlops_platform.notebooks.notebook_controller import NotebookController
from mlops_platform.pipelines.kubeflow_pipelines import KubeflowPipelines
from mlops_platform.serving.kserve import KServe
from mlops_platform.serving.seldon_core import SeldonCore
from mlops_platform.serving.serving_gateway import ServingGateway
from mlops_platform.tracking.mlflow import Mlflow
from mlops_platform.training.training_operator import TrainingOperator


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The platform of a stack. None stands for a component that its settings leave out.

    Attributes:
        cluster: where everything runs.
        buckets: where everything is stored.
        mlflow: tracking and registry.
        pipelines: what runs pipelines.
        kserve: serves models.
        seldon: serves models.
        gateway: one address a model, where anything serves.
        training: runs distributed trainings.
        notebooks: runs notebooks.
    """

    cluster: Cluster
    buckets: Buckets
    mlflow: Mlflow
    pipelines: KubeflowPipelines
    kserve: KServe | None
    seldon: SeldonCore | None
    gateway: ServingGateway | None
    training: TrainingOperator | None
    notebooks: NotebookController | None
