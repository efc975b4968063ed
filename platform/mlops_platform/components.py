"""All components of the platform, one line each."""

from typing import Final

from mlops_platform.component import Component
from mlops_platform.notebooks.notebook_controller import NotebookController
from mlops_platform.pipelines.kubeflow_pipelines import KubeflowPipelines
from mlops_platform.pipelines.kubeflow_pipelines_ui import KubeflowPipelinesUi
from mlops_platform.serving.kserve import KServe
from mlops_platform.serving.seldon_core import SeldonCore
from mlops_platform.serving.serving_gateway import ServingGateway
from mlops_platform.tracking.mlflow import Mlflow
from mlops_platform.training.training_operator import TrainingOperator

COMPONENTS: Final[tuple[type[Component], ...]] = (
    Mlflow,
    KubeflowPipelines,
    KubeflowPipelinesUi,
    KServe,
    SeldonCore,
    ServingGateway,
    TrainingOperator,
    NotebookController,
)
