"""The command line against a real MLflow server, started as the platform starts it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from flight_delay import dataset, features
from mlops_workloads import model_version

_START_SECONDS = 120
JOB = "flight-delay-12345678"


@dataclass(frozen=True, kw_only=True)
class Trained:
    uri: str
    data: Path
    result: dict[str, Any]

    def get(self, method: str, **query: str) -> dict[str, Any]:
        response = httpx.get(f"{self.uri}/api/2.0/mlflow/{method}", params=query).raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer


def _environment(**changes: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MLFLOW_"))}
    return {
        **inherited,
        # Two busy cores: more threads than one only spin.
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        **changes,
    }


def _train(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "flight_delay", "train", *arguments],
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def mlflow_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    environment = _environment(
        _MLFLOW_SERVER_FILE_STORE=f"sqlite:///{folder}/mlflow.db",
        _MLFLOW_SERVER_SERVE_ARTIFACTS="true",
        _MLFLOW_SERVER_ARTIFACT_ROOT="mlflow-artifacts:/",
        _MLFLOW_SERVER_ARTIFACT_DESTINATION=str(folder / "artifacts"),
        _MLFLOW_SGI_NAME="uvicorn",
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
    )
    command = ["--host", "127.0.0.1", "--port", str(port), "mlflow.server.fastapi_app:app"]
    log = folder / "log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", *command],
            env=environment,
            stdout=stream,
            stderr=stream,
            cwd=folder,
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(f"{uri}/health"):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield uri
    finally:
        server.terminate()
        server.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def trained(whole: Path, mlflow_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train on all of January, evaluate on all of February."""
    result = tmp_path_factory.mktemp("result") / "result.json"
    done = _train(
        "--months", "1",
        "--data", str(whole),
        "--tracking-uri", mlflow_uri,
        "--tag", f"training_job={JOB}",
        "--tag", "note=a=b",
        "--result", str(result),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == json.loads(result.read_text())
    assert "✓ train on 26398 flights" in done.stdout
    return Trained(uri=mlflow_uri, data=whole, result=json.loads(result.read_text()))


def test_the_model_beats_chance_clearly(trained: Trained) -> None:
    metrics = trained.result["metrics"]
    assert metrics["roc_auc"] > 0.6
    assert metrics["average_precision"] > metrics["base_rate"]


def test_the_run_holds_tags_parameters_and_metrics(trained: Trained) -> None:
    run = trained.get("runs/get", run_id=trained.result["run_id"])["run"]
    assert run["info"]["status"] == "FINISHED"
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert (tags["training_job"], tags["note"]) == (JOB, "a=b")
    params = {param["key"]: param["value"] for param in run["data"]["params"]}
    digest = params.pop("data_digest")
    assert len(digest) == 16
    assert params == {
        "train_months": "1",
        "evaluate_month": "2",
        "train_flights": "26398",
        "data": str(trained.data),
        "late_minutes": "15",
        "learning_rate": "0.08",
        "max_iter": "150",
        "max_leaf_nodes": "31",
    }
    metrics = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert metrics == pytest.approx(trained.result["metrics"])


def test_the_plots_are_in_the_run(trained: Trained) -> None:
    found = trained.get("artifacts/list", run_id=trained.result["run_id"], path="plots")["files"]
    assert {file["path"] for file in found} == {
        "plots/calibration.png",
        "plots/feature_importance.png",
        "plots/roc.png",
    }
    assert all(int(file["file_size"]) > 5000 for file in found)


def test_the_model_loads_back_and_its_signature_is_true(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow  # noqa: PLC0415 - seconds, which only this test needs

    mlflow.set_tracking_uri(trained.uri)
    loaded = mlflow.pyfunc.load_model(f"models:/flight-delay/{trained.result['version']}")
    signature = loaded.metadata.signature
    assert signature.inputs.input_names() == list(features.COLUMNS)
    example = loaded.input_example
    assert list(example.columns) == list(features.COLUMNS)
    assert len(example) == 3

    source = dataset.Source(uri=str(trained.data))
    frame = features.build(source.read_flights((3,)).head(50), source.read_weather())
    probability = loaded.predict(frame)
    assert probability.shape == (50, 2)
    assert ((probability >= 0) & (probability <= 1)).all()
    assert probability.sum(axis=1) == pytest.approx(1)
    (output,) = signature.outputs.inputs
    assert output.shape == (-1, 2)


def test_a_version_is_found_by_its_training_and_by_no_other(trained: Trained) -> None:
    found = model_version.find_version(trained.uri, "flight-delay", JOB)
    assert found is not None
    assert (found["version"], found["run_id"]) == ("1", trained.result["run_id"])
    assert found["metrics"] == {
        name: round(value, 4) for name, value in trained.result["metrics"].items()
    }
    assert model_version.find_version(trained.uri, "flight-delay", "another") is None
    assert model_version.find_version(trained.uri, "other-model", JOB) is None


def test_versions_of_other_origin_do_not_hide_the_training(trained: Trained) -> None:
    """Someone may register a version by hand, without a run or from a run that is gone."""
    for run in ({}, {"run_id": "0" * 32}):
        body = {"name": "flight-delay", "source": "s3://elsewhere/model", **run}
        httpx.post(
            f"{trained.uri}/api/2.0/mlflow/model-versions/create", json=body
        ).raise_for_status()
    found = model_version.find_version(trained.uri, "flight-delay", JOB)
    assert found is not None
    assert found["version"] == "1"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--months": "12"}, "✗ '12' ends in December"),
        ({"--data": "/nowhere"}, "✗ /nowhere/weather.parquet cannot be read"),
        ({"--tracking-uri": "http://127.0.0.1:9"}, "✗ MLflow cannot be used: "),
    ],
)
def test_errors_exit_1_with_one_message(
    mlflow_uri: str, folder: Path, changes: dict[str, str], message: str
) -> None:
    options = {"--months": "1", "--data": str(folder), "--tracking-uri": mlflow_uri, **changes}
    done = _train(*(text for option in options.items() for text in option))
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_tag_without_a_name_is_refused(folder: Path) -> None:
    done = _train(
        "--months", "1", "--data", str(folder), "--tracking-uri", "http://127.0.0.1:9",
        "--tag", "=value",
    )  # fmt: skip
    assert done.returncode == 2
    assert "'=value' is not NAME=VALUE" in done.stderr
