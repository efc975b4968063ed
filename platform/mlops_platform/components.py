"""All components of the platform, one line each."""

from typing import Final

from mlops_platform.component import Component
from mlops_platform.kserve import KServe
from mlops_platform.kubeflow_pipelines import KubeflowPipelines
from mlops_platform.kubeflow_pipelines_ui import KubeflowPipelinesUi
from mlops_platform.mlflow import Mlflow
from mlops_platform.notebook_controller import NotebookController
from mlops_platform.seldon_core import SeldonCore
from mlops_platform.training_operator import TrainingOperator

COMPONENTS: Final[tuple[type[Component], ...]] = (
    Mlflow,
    KubeflowPipelines,
    KubeflowPipelinesUi,
    KServe,
    SeldonCore,
    TrainingOperator,
    NotebookController,
)
