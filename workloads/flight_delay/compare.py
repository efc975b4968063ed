"""Third step: the new model against the champion, on the same flights."""

import html
import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, roc_curve
from sklearn.pipeline import Pipeline

from flight_delay import evaluate, tracking
from flight_delay.preprocess import split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADLINE = "roc_auc"
_CURVE_POINTS = 60


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What an evaluation found.

    Attributes:
        metrics: the new model's, by name.
        champion_version: version that it was compared with; empty when there is none.
        champion_metrics: the champion's on the same flights.
        better: whether the new model is to be promoted.
        confusion: rows of truth (in time, late) and columns of prediction.
        curve: ROC curve as (false positive rates, true positive rates, thresholds).
        report: a web page with the numbers and plots, complete in itself.
    """

    metrics: dict[str, float]
    champion_version: str
    champion_metrics: dict[str, float]
    better: bool
    confusion: list[list[int]]
    curve: tuple[list[float], list[float], list[float]]
    report: str


def compare(
    challenger: Pipeline,
    evaluation: pd.DataFrame,
    *,
    champion_version: str,
    champion_model: str,
    run_id: str,
    promotion_margin: float,
) -> Comparison:
    """Evaluate a model and the champion; log the result to the model's MLflow run.

    Args:
        challenger: the new model.
        evaluation: a set of `preprocess.prepare` that neither should have seen.
        champion_version: version that it must beat; empty when there is none.
        champion_model: MLflow's address of that version's model.
        run_id: MLflow's run of the new model.
        promotion_margin: how much more ROC AUC the new model needs; it must always have more.

    Raises:
        TrackingError: MLflow does not answer, or has not the champion's files.
    """
    frame, truth = split(evaluation)
    probability = challenger.predict_proba(frame)[:, 1]
    metrics = evaluate.metrics(truth, probability)
    champion_metrics = _champion(champion_model, frame, truth) if champion_version else {}
    better = (
        not champion_version or metrics[HEADLINE] > champion_metrics[HEADLINE] + promotion_margin
    )
    plots = {
        name: _svg(figure)
        for name, figure in evaluate.plots(challenger, frame, truth, probability).items()
    }
    found = Comparison(
        metrics=metrics,
        champion_version=champion_version,
        champion_metrics=champion_metrics,
        better=better,
        confusion=confusion_matrix(truth, probability >= truth.mean()).tolist(),
        curve=_curve(truth, probability),
        report=_report(metrics, champion_version, champion_metrics, better, plots),
    )
    _log(found, run_id, plots)
    return found


def _champion(address: str, frame: pd.DataFrame, truth: pd.Series) -> dict[str, float]:
    mlflow = tracking.connect()
    # Seconds, and a first run has no champion
    from mlflow import sklearn as flavour  # noqa: PLC0415

    try:
        model = flavour.load_model(address)
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise tracking.TrackingError(
            f"the champion's model {address} cannot be loaded: {error}; let the alias "
            f"{tracking.CHAMPION} point at a version that has its files"
        ) from error
    return evaluate.metrics(truth, model.predict_proba(frame)[:, 1])


def _curve(
    truth: pd.Series, probability: np.ndarray
) -> tuple[list[float], list[float], list[float]]:
    false_positive, true_positive, thresholds = roc_curve(truth, probability)
    chosen = np.unique(np.linspace(0, len(thresholds) - 1, _CURVE_POINTS).astype(int))
    # The first threshold is infinite, which JSON cannot say.
    finite = np.minimum(thresholds, 1.0)
    return (
        false_positive[chosen].tolist(),
        true_positive[chosen].tolist(),
        finite[chosen].tolist(),
    )


def _svg(figure: "Figure") -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg")
    content = text.getvalue()
    return content[content.index("<svg") :]


def _log(found: Comparison, run_id: str, plots: dict[str, str]) -> None:
    client = tracking.connect().MlflowClient()
    for name, value in found.metrics.items():
        client.log_metric(run_id, name, value)
    if found.champion_version:
        client.log_metric(run_id, "champion_roc_auc", found.champion_metrics[HEADLINE])
    client.set_tag(run_id, "champion_version", found.champion_version)
    client.set_tag(run_id, "better_than_champion", str(found.better).lower())
    for name, svg in plots.items():
        client.log_text(run_id, svg, f"plots/{name}.svg")
    if run := os.environ.get("KFP_RUN_ID"):
        client.set_tag(run_id, "kfp_evaluation_run_id", run)


def _report(
    metrics: dict[str, float],
    version: str,
    champion_metrics: dict[str, float],
    better: bool,
    plots: dict[str, str],
) -> str:
    champion = f"champion, version {version}" if version else "no champion yet"
    verdict = "The new model is promoted." if better else "The champion stays."
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{value:.4f}</td>"
        f"<td>{f'{champion_metrics[name]:.4f}' if name in champion_metrics else '-'}</td></tr>"
        for name, value in metrics.items()
    )
    return (
        "<!doctype html><meta charset='utf-8'><title>Evaluation</title>"
        "<style>body{font-family:sans-serif;margin:2em}td,th{padding:.2em 1em;text-align:right}"
        "td:first-child{text-align:left}svg{max-width:30em;height:auto}</style>"
        f"<h1>Evaluation</h1><p>{verdict}</p>"
        f"<table><tr><th></th><th>new model</th><th>{champion}</th></tr>{rows}</table>"
        + "".join(plots.values())
    )
