"""What expires, with MLflow's own registry and moto's S3."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from moto import mock_aws

from mlops_platform.tracking import expire_artifacts

ROOT = "s3://artifacts/mlflow/"
PLACES = [ROOT, "s3://artifacts/predictions/", "s3://pipelines/artifacts/"]
LATER = datetime.now(UTC) + timedelta(days=31)


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        for bucket in ("artifacts", "pipelines"):
            client.create_bucket(Bucket=bucket)
        yield client


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return MLflow's database with an experiment: to make its tables takes seconds."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    client = MlflowClient(f"sqlite:///{file}")
    client.create_experiment("flights", artifact_location="mlflow-artifacts:/1")
    return file


@pytest.fixture
def mlflow(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    shutil.copy(database, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return MlflowClient()


def _put(s3: Any, uri: str, name: str) -> str:
    """Put a file where MLflow's server puts an artifact; return its S3 address."""
    address = f"{expire_artifacts.address(uri, ROOT)}/{name}"
    bucket, _, key = address.removeprefix("s3://").partition("/")
    s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    return address


def _left(s3: Any) -> set[str]:
    return {
        f"s3://{bucket}/{found['Key']}"
        for bucket in ("artifacts", "pipelines")
        for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    }


def test_what_is_old_goes_and_registered_models_stay(s3: Any, mlflow: MlflowClient) -> None:
    runs = [mlflow.create_run("1") for _ in range(3)]
    files = [_put(s3, run.info.artifact_uri, "metrics.json") for run in runs]
    # As MLflow 3 keeps a model: beside the run, under an identifier of its own.
    models = [mlflow.create_logged_model("1", source_run_id=run.info.run_id) for run in runs]
    weights = [_put(s3, model.artifact_location, "model.skops") for model in models]
    # And as earlier versions did: among the run's files.
    within = _put(s3, runs[1].info.artifact_uri, "model/model.skops")
    mlflow.create_registered_model("flight-delay")
    mlflow.create_model_version(
        "flight-delay",
        f"models:/{models[0].model_id}",
        run_id=runs[0].info.run_id,
        model_id=models[0].model_id,
    )
    mlflow.create_model_version(
        "flight-delay", f"{runs[1].info.artifact_uri}/model", run_id=runs[1].info.run_id
    )
    other = _put(s3, "s3://artifacts/predictions", "day.parquet")
    step = _put(s3, "s3://pipelines/artifacts/run", "output")
    compiled = _put(s3, "s3://pipelines/pipelines", "compiled.yaml")

    month_ago = datetime.now(UTC) - timedelta(days=30)
    assert expire_artifacts.expire(s3, mlflow, ROOT, PLACES, month_ago) == 0
    # The run of a version whose experiment is looked at no more stays as well.
    mlflow.delete_run(runs[0].info.run_id)
    assert expire_artifacts.expire(s3, mlflow, ROOT, PLACES, LATER) == 5
    gone = {files[2], weights[1], weights[2], other, step}
    assert _left(s3) == {files[0], files[1], weights[0], within, compiled}
    assert not gone & _left(s3)


def test_a_name_that_only_begins_like_a_kept_one_goes(s3: Any, mlflow: MlflowClient) -> None:
    mlflow.create_registered_model("m")
    mlflow.create_model_version("m", "mlflow-artifacts:/1/models/m-1")
    kept = _put(s3, "mlflow-artifacts:/1/models/m-1", "a")
    _put(s3, "mlflow-artifacts:/1/models/m-10", "a")
    assert expire_artifacts.expire(s3, mlflow, ROOT, PLACES, LATER) == 1
    assert _left(s3) == {kept}


def test_without_the_registry_nothing_goes(s3: Any, mlflow: MlflowClient) -> None:
    address = _put(s3, "mlflow-artifacts:/1/run", "a")

    class Silent:
        def search_model_versions(self, **_: object) -> None:
            raise MlflowException("no answer")

    with pytest.raises(MlflowException, match="no answer"):
        expire_artifacts.expire(s3, Silent(), ROOT, PLACES, LATER)
    assert _left(s3) == {address}


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("mlflow-artifacts:/1/a/artifacts", "s3://artifacts/mlflow/1/a/artifacts"),
        ("mlflow-artifacts://mlflow:5000/1/a", "s3://artifacts/mlflow/1/a"),
        ("s3://pipelines/artifacts/x", "s3://pipelines/artifacts/x"),
    ],
)
def test_an_address(uri: str, address: str) -> None:
    assert expire_artifacts.address(uri, ROOT) == address


@pytest.mark.parametrize("uri", ["models:/m-1", "runs:/1/model"])
def test_an_address_that_may_be_anywhere_deletes_nothing(uri: str) -> None:
    with pytest.raises(ValueError, match="nothing was deleted"):
        expire_artifacts.address(uri, ROOT)
