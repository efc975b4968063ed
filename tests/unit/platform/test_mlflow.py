"""MLflow's objects."""

import pulumi

from mlops_infra.buckets import Buckets, BucketsArgs, ObjectStore
from mlops_platform.tracking import expire_artifacts, mlflow_upgrade
from mlops_platform.tracking.mlflow import Mlflow, MlflowArgs
from mlops_toolchain import images
from tests.unit import recording


def _recorded(artifact_expiry_days: int = 0) -> recording.Recorder:
    def program() -> None:
        text = pulumi.Output.from_input("text")
        store = ObjectStore(
            endpoint=text,
            cluster_endpoint="http://s3.s3.svc.cluster.local:7070",
            shared_endpoint=text,
            region="eu-central-1",
            access_key=text,
            secret_key=text,
        )
        Mlflow(
            "mlflow",
            MlflowArgs(
                cluster=recording.cluster(),
                buckets=Buckets("buckets", BucketsArgs(store=store, ephemeral=True)),
                storage_size="2Gi",
                artifact_expiry_days=artifact_expiry_days,
            ),
        )

    return recording.run(program)


def test_tables_are_upgraded_before_the_server_opens_them() -> None:
    (deployment,) = _recorded().of(":Deployment")
    pod = deployment.inputs["spec"]["template"]["spec"]

    (step,), (server,) = pod["initContainers"], pod["containers"]
    # The same MLflow on the same volume, and the database that the server opens.
    assert step["image"] == server["image"]
    assert step["volumeMounts"] == server["volumeMounts"]
    interpreter, option, text, database = step["command"]
    with open(mlflow_upgrade.__file__) as file:  # noqa: PTH123
        assert (interpreter, option, text) == ("python3", "-c", file.read())
    assert {"name": "_MLFLOW_SERVER_FILE_STORE", "value": f"sqlite:///{database}"} in server["env"]
    # As the namespace demands.
    assert step["securityContext"] == server["securityContext"]


def test_old_artifacts_are_deleted_once_a_day_where_that_is_asked_for() -> None:
    assert not _recorded().of(":CronJob")
    recorded = _recorded(30)
    (server,) = recorded.of(":Deployment")
    (job,) = recorded.of(":CronJob")
    pod = job.inputs["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == images.reference("mlflow")
    _, _, text = container["command"]
    with open(expire_artifacts.__file__) as file:  # noqa: PTH123
        assert text == file.read()
    assert container["args"] == [
        "30",
        "http://s3.s3.svc.cluster.local:7070",
        "s3://artifacts/mlflow/",
        "s3://artifacts/mlflow/",
        "s3://artifacts/predictions/",
        "s3://pipelines/artifacts/",
    ]
    of_server = server.inputs["spec"]["template"]["spec"]
    assert container["envFrom"] == of_server["containers"][0]["envFrom"]
    assert container["securityContext"] == of_server["containers"][0]["securityContext"]
