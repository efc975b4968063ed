"""What a workload is given: the components of a stack, as far as it has them."""

from dataclasses import dataclass

from mlops_infra.buckets import Buckets
from mlops_infra.cluster import Cluster
from mlops_platform.kserve import KServe
from mlops_platform.kubeflow_pipelines import KubeflowPipelines
from mlops_platform.mlflow import Mlflow
from mlops_platform.notebook_controller import NotebookController
from mlops_platform.seldon_core import SeldonCore
from mlops_platform.training_operator import TrainingOperator


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
        training: runs distributed trainings.
        notebooks: runs notebooks.
    """

    cluster: Cluster
    buckets: Buckets
    mlflow: Mlflow
    pipelines: KubeflowPipelines
    kserve: KServe | None
    seldon: SeldonCore | None
    training: TrainingOperator | None
    notebooks: NotebookController | None
