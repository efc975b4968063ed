"""The stack: settings, then infra → platform → workloads, then what the user is told."""

from mlops_platform.kserve import KServe, KServeArgs
from mlops_platform.kubeflow_pipelines import KubeflowPipelines, KubeflowPipelinesArgs
from mlops_platform.kubeflow_pipelines_ui import KubeflowPipelinesUi, KubeflowPipelinesUiArgs
from mlops_platform.mlflow import Mlflow, MlflowArgs
from mlops_platform.notebook_controller import NotebookController, NotebookControllerArgs
from mlops_platform.platform import Platform
from mlops_platform.seldon_core import SeldonCore, SeldonCoreArgs
from mlops_platform.training_operator import TrainingOperator, TrainingOperatorArgs
from mlops_stack import composition, lasting, outputs, settings

config = settings.load()
if config.layers == "all":
    # Before anything is registered: what is compiled wrongly changes nothing.
    settings.check_compiled()
lasting.protect(ephemeral=config.ephemeral)

infra = composition.infrastructure(config)
outputs.export(**infra.outputs)

if config.layers == "all":
    cluster, buckets = infra.cluster, infra.buckets
    chosen = composition.components(config)
    expiry, size = config.artifact_expiry_days, config.mlflow_storage_size
    mlflow = Mlflow(
        "mlflow",
        MlflowArgs(
            cluster=cluster, buckets=buckets, storage_size=size, artifact_expiry_days=expiry
        ),
    )
    size = config.kubeflow_storage_size
    pipelines = KubeflowPipelines(
        "kubeflow-pipelines",
        KubeflowPipelinesArgs(cluster=cluster, buckets=buckets, database_storage_size=size),
    )
    ui = KubeflowPipelinesUi in chosen and KubeflowPipelinesUi(
        "kubeflow-pipelines-ui",
        KubeflowPipelinesUiArgs(cluster=cluster, buckets=buckets, pipelines=pipelines),
    )
    kserve = KServe("kserve", KServeArgs(cluster=cluster)) if KServe in chosen else None
    seldon = SeldonCore("seldon", SeldonCoreArgs(cluster=cluster)) if SeldonCore in chosen else None
    training = (
        TrainingOperator("training-operator", TrainingOperatorArgs(cluster=cluster))
        if TrainingOperator in chosen
        else None
    )
    notebooks = (
        NotebookController("notebook-controller", NotebookControllerArgs(cluster=cluster))
        if NotebookController in chosen
        else None
    )
    platform = Platform(
        cluster=cluster,
        buckets=buckets,
        mlflow=mlflow,
        pipelines=pipelines,
        kserve=kserve,
        seldon=seldon,
        training=training,
        notebooks=notebooks,
    )
    outputs.export(
        mlflow_url=mlflow.url,
        kubeflow_url=pipelines.url,
        kubeflow_ui_url=ui.url if ui else None,
        kserve_namespace=kserve.namespace if kserve else None,
        seldon_namespace=seldon.namespace if seldon else None,
        training_namespace=training.namespace if training else None,
    )
    outputs.export(**composition.flights(config).deploy(platform), services=cluster.services)
