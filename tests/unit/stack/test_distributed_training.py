"""The stack with the training operator: what its jobs are given."""

import pytest

from mlops_stack.settings import SettingsError
from mlops_toolchain import images, layout
from mlops_workloads import training_job
from tests.unit import recording

pytestmark = pytest.mark.skipif(
    not (layout.manifests_dir() / "training-operator").exists(),
    reason="needs upstream's manifests: run `make toolchain`",
)


def _run(monkeypatch: pytest.MonkeyPatch, *, built: bool, **config: str) -> recording.Recorder:
    monkeypatch.setattr(images, "is_there", lambda _: built)
    return recording.program({"ephemeral": "true", **config})


def test_it_is_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _run(monkeypatch, built=False).of(":TrainingOperator")


def test_images_that_are_not_built_are_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(
        SettingsError, match=r"pytorch-training, tensorflow-training.*make toolchain"
    ):
        _run(monkeypatch, built=False, trainingOperator="true")


def test_jobs_are_told_where_data_and_models_are(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = _run(monkeypatch, built=True, trainingOperator="true")
    secret = recorded.named(training_job.ENVIRONMENT).inputs
    assert secret["metadata"]["name"] == training_job.ENVIRONMENT
    assert {
        "AWS_ENDPOINT_URL",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "MLFLOW_TRACKING_URI",
    } == set(secret["stringData"]["value"])
