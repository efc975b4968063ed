"""Train, compare and deploy against MLflow's own store: runs, artifacts and the registry."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flight_delay import compare as compare_module
from flight_delay import deploy_step, features, preprocess, tracking
from flight_delay.compare import Comparison, compare
from flight_delay.preprocess import Prepared
from flight_delay.tracking import TrackingError
from flight_delay.train import Trained, train

EXPERIMENT = "flights"
GOOD = {"learning_rate": 0.08, "iterations": 80, "leaves": 15}
POOR = {"learning_rate": 0.001, "iterations": 1, "leaves": 2}


@dataclass(frozen=True, kw_only=True)
class Models:
    prepared: Prepared
    good: Trained
    poor: Trained

    def compare(self, challenger: Trained, name: str, *, margin: float = 0.0) -> Comparison:
        champion = tracking.champion(name)
        return compare(
            challenger.model,
            self.prepared.evaluation,
            champion_version=str(champion.version) if champion else "",
            champion_model=champion.source if champion else "",
            run_id=challenger.run_id,
            promotion_margin=margin,
        )


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """MLflow with a store of its own; its client."""
    folder = tmp_path_factory.mktemp("mlflow")
    before = dict(os.environ)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    os.environ["KFP_RUN_ID"] = "kfp-run-1"
    found = tracking.connect().MlflowClient()
    found.create_experiment(EXPERIMENT, artifact_location=str(folder / "artifacts"))
    yield found
    # MLflow sets variables of its own, which later tests must not see.
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def models(client: Any, folder: Path) -> Models:
    assert client
    prepared = preprocess.prepare(training_months="1", evaluation_month=2, data=str(folder))

    def fit(hyperparameters: dict[str, Any], **options: Any) -> Trained:
        return train(
            prepared.training,
            hyperparameters=hyperparameters,
            experiment=EXPERIMENT,
            notes={"train_months": "1", "data_digest": prepared.digest},
            **options,
        )

    return Models(
        prepared=prepared, good=fit(POOR, candidates=[GOOD, {"leaves": 3}]), poor=fit(POOR)
    )


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare seconds where plots are not what is tested."""
    monkeypatch.setattr(compare_module.evaluate, "plots", lambda *_: {})


def deploy(*, run_id: str, model_name: str) -> str:
    """Deploy where nothing serves, as on a laptop."""
    return deploy_step.deploy(run_id=run_id, model_name=model_name, data="", canary_percent=0)


def test_a_deleted_experiment_is_restored_with_its_runs(
    client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    made = client.create_experiment("deleted")
    run = client.create_run(made).info.run_id
    client.delete_experiment(made)
    tracking.connect("deleted")
    assert client.get_experiment(made).lifecycle_stage == "active"
    assert client.get_run(run).info.lifecycle_stage == "active"
    assert "deleted was deleted; it is restored" in capsys.readouterr().out
    tracking.connect("deleted")
    assert capsys.readouterr().out == ""


def test_the_run_says_what_was_trained(models: Models, client: Any) -> None:
    run = client.get_run(models.good.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["kfp_run_id"] == "kfp-run-1"
    assert models.good.hyperparameters == GOOD
    assert run.data.params == {
        "train_months": "1",
        "data_digest": models.prepared.digest,
        "train_flights": str(len(models.prepared.training)),
        "late_minutes": "15",
        **{name: str(value) for name, value in GOOD.items()},
    }
    history = client.get_metric_history(models.good.run_id, "validation_roc_auc")
    scores = [each.value for each in sorted(history, key=lambda each: each.step)]
    assert scores == pytest.approx(models.good.validation)
    assert len(scores) == 2


def test_the_model_loads_back_and_its_signature_is_true(models: Models) -> None:
    loaded = tracking.connect().pyfunc.load_model(f"runs:/{models.good.run_id}/model")
    signature = loaded.metadata.signature
    assert signature.inputs.input_names() == list(features.COLUMNS)
    frame, _ = preprocess.split(models.prepared.evaluation)
    probability = loaded.predict(frame.head(50))
    assert probability.shape == (50, 2)
    assert probability == pytest.approx(models.good.model.predict_proba(frame.head(50)))
    (output,) = signature.outputs.inputs
    assert output.shape == (-1, 2)


def test_without_a_champion_any_model_is_better(models: Models, client: Any) -> None:
    found = models.compare(models.good, "first")
    assert found.better
    assert (found.champion_version, found.champion_metrics) == ("", {})
    assert found.metrics["roc_auc"] > 0.58
    assert found.metrics["average_precision"] > found.metrics["base_rate"]
    run = client.get_run(models.good.run_id).data
    assert {name: run.metrics[name] for name in found.metrics} == pytest.approx(found.metrics)
    assert run.tags["better_than_champion"] == "true"
    assert run.tags["kfp_evaluation_run_id"] == "kfp-run-1"
    plots = {file.path for file in client.list_artifacts(models.good.run_id, "plots")}
    assert plots == {
        "plots/roc.svg",
        "plots/calibration.svg",
        "plots/feature_importance.svg",
    }
    assert found.report.count("<svg") == 3
    assert "no champion yet" in found.report
    # Complete in itself: nothing is fetched when it is opened
    assert "<script" not in found.report
    assert "src=" not in found.report


def test_the_confusion_and_the_curve_are_of_the_evaluation(models: Models, no_plots: None) -> None:
    found = models.compare(models.good, "nobody")
    late = int(models.prepared.evaluation[preprocess.LABEL].sum())
    assert sum(found.confusion[1]) == late
    assert sum(map(sum, found.confusion)) == len(models.prepared.evaluation)
    false_positive, true_positive, thresholds = found.curve
    assert len(false_positive) == len(true_positive) == len(thresholds) <= 60
    assert (false_positive[0], true_positive[0]) == (0, 0)
    assert (false_positive[-1], true_positive[-1]) == (1, 1)
    assert all(0 <= value <= 1 for value in thresholds)


def test_a_worse_and_an_equal_model_are_not_better(
    models: Models, client: Any, no_plots: None
) -> None:
    version = deploy(run_id=models.good.run_id, model_name="strong")
    champion = models.compare(models.good, "nobody").metrics
    for challenger in (models.poor, models.good):
        found = models.compare(challenger, "strong")
        assert not found.better
        assert found.champion_version == version
        assert found.champion_metrics == pytest.approx(champion)
        assert "The champion stays." in found.report
        assert client.get_run(challenger.run_id).data.tags["champion_version"] == version


def test_a_champion_without_its_files_is_an_error_with_a_remedy(models: Models) -> None:
    with pytest.raises(TrackingError, match=r"models:/m-0 cannot be loaded: .* the alias champion"):
        compare(
            models.good.model,
            models.prepared.evaluation,
            champion_version="7",
            champion_model="models:/m-0",
            run_id=models.good.run_id,
            promotion_margin=0.0,
        )


def test_a_better_model_must_exceed_the_margin(models: Models, no_plots: None) -> None:
    deploy(run_id=models.poor.run_id, model_name="weak")
    found = models.compare(models.good, "weak")
    gain = found.metrics["roc_auc"] - found.champion_metrics["roc_auc"]
    assert gain > 0
    assert found.better
    assert models.compare(models.good, "weak", margin=gain * 0.9).better
    assert not models.compare(models.good, "weak", margin=gain * 1.1).better


def test_deploying_again_registers_nothing_new(models: Models, client: Any) -> None:
    first = deploy(run_id=models.poor.run_id, model_name="once")
    assert deploy(run_id=models.poor.run_id, model_name="once") == first == "1"
    assert len(client.search_model_versions("name='once'")) == 1


def test_the_alias_moves_to_what_was_deployed_last(models: Models, client: Any) -> None:
    for trained, version in ((models.poor, "1"), (models.good, "2"), (models.poor, "1")):
        assert deploy(run_id=trained.run_id, model_name="moving") == version
        champion = client.get_model_version_by_alias("moving", "champion")
        assert (str(champion.version), champion.run_id) == (version, trained.run_id)


def test_one_run_may_serve_two_names(models: Models) -> None:
    for name in ("twin-1", "twin-2"):
        assert deploy(run_id=models.good.run_id, model_name=name) == "1"
        champion = tracking.champion(name)
        assert champion is not None
        assert champion.name == name


def test_a_run_that_is_not_there_cannot_be_deployed(client: Any) -> None:
    assert client
    with pytest.raises(TrackingError, match=f"the model of run {'0' * 32} cannot be registered"):
        deploy(run_id="0" * 32, model_name="nothing")


def test_no_model_and_no_alias_are_no_champion(client: Any) -> None:
    assert tracking.champion("unheard-of") is None
    client.create_registered_model("without-alias")
    assert tracking.champion("without-alias") is None


@pytest.mark.parametrize(
    "use",
    [
        lambda: tracking.connect(EXPERIMENT),
        lambda: tracking.champion("any"),
        lambda: deploy(run_id="0" * 32, model_name="any"),
    ],
    ids=["connect", "champion", "deploy"],
)
def test_a_server_that_does_not_answer_is_an_error(
    monkeypatch: pytest.MonkeyPatch, use: Callable[[], object]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1"):
        use()


def test_training_does_not_begin_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(TrackingError, match="MLFLOW_TRACKING_URI is not set; set it to MLflow's"):
        train(pd.DataFrame(), hyperparameters={}, experiment=EXPERIMENT, notes={})
