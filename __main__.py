"""The stack: settings, then infra → platform → workloads, then what the user is told."""

from mlops_platform.notebooks.notebook_controller import NotebookController, NotebookControllerArgs
from mlops_platform.pipelines.kubeflow_pipelines import KubeflowPipelines, KubeflowPipelinesArgs
from mlops_platform.pipelines.kubeflow_pipelines_ui import (
    KubeflowPipelinesUi,
    KubeflowPipelinesUiArgs,
)
from mlops_platform.platform import Platform
from mlops_platform.serving.kserve import KServe, KServeArgs
from mlops_platform.serving.seldon_core import SeldonCore, SeldonCoreArgs
from mlops_platform.serving.serving_gateway import ServingGateway, ServingGatewayArgs
from mlops_platform.tracking.mlflow import Mlflow, MlflowArgs
from mlops_platform.training.training_operator import TrainingOperator, TrainingOperatorArgs
from mlops_stack import composition, lasting, outputs, settings

config = settings.load()
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
    account = pipelines.pipeline_account
    ui = KubeflowPipelinesUi in chosen and KubeflowPipelinesUi(
        "kubeflow-pipelines-ui",
        KubeflowPipelinesUiArgs(cluster=cluster, buckets=buckets, pipelines=pipelines),
    )
    kserve = KServe("kserve", KServeArgs(cluster=cluster)) if KServe in chosen else None
    seldon = SeldonCore("seldon", SeldonCoreArgs(cluster=cluster)) if SeldonCore in chosen else None
    gateway = (
        ServingGateway("gateway", ServingGatewayArgs(cluster=cluster, pipeline_account=account))
        if ServingGateway in chosen
        else None
    )
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
        gateway=gateway,
        training=training,
        notebooks=notebooks,
    )
    outputs.export(
        mlflow_url=mlflow.url,
        kubeflow_url=pipelines.url,
        kubeflow_ui_url=ui.url if ui else None,
        gateway_url=gateway.url if gateway else None,
        kserve_namespace=kserve.namespace if kserve else None,
        seldon_namespace=seldon.namespace if seldon else None,
        training_namespace=training.namespace if training else None,
    )
    deployed = {each.NAME: each.deploy(platform) for each in composition.workloads(config)}
    outputs.export(**outputs.of_workloads(deployed), services=cluster.services)
