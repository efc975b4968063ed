"""How good a model is: numbers, and the plots that a data scientist looks at."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.inspection import permutation_importance
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
    roc_curve,
)
from sklearn.pipeline import Pipeline

from flight_delay import features
from flight_delay.model import SEED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_IMPORTANCE_ROWS = 1500
_IMPORTANCE_REPEATS = 2


def metrics(truth: pd.Series, probability: np.ndarray) -> dict[str, float]:
    """Return the metrics of predicted probabilities.

    `base_rate` is the share of late flights: what a model must beat. `brier_score` and `log_loss`
    are better when lower, `roc_auc` and `average_precision` when higher.
    """
    return {
        "roc_auc": float(roc_auc_score(truth, probability)),
        "average_precision": float(average_precision_score(truth, probability)),
        "brier_score": float(brier_score_loss(truth, probability)),
        "log_loss": float(log_loss(truth, probability)),
        "base_rate": float(truth.mean()),
        "flights": float(len(truth)),
    }


def plots(
    model: Pipeline, frame: pd.DataFrame, truth: pd.Series, probability: np.ndarray
) -> dict[str, "Figure"]:
    """Return ROC curve, calibration and feature importance by name."""
    return {
        "roc": _roc(truth, probability),
        "calibration": _calibration(truth, probability),
        "feature_importance": _importance(model, frame, truth),
    }


def _figure() -> "Figure":
    # The class, not pyplot: no display and no global state.
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second, only where plots are drawn

    return Figure(figsize=(6, 5), layout="constrained")


def _roc(truth: pd.Series, probability: np.ndarray) -> "Figure":
    figure = _figure()
    axes = figure.subplots()
    false_positive, true_positive, _ = roc_curve(truth, probability)
    axes.plot(false_positive, true_positive, label=f"AUC {roc_auc_score(truth, probability):.3f}")
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="chance")
    axes.set(xlabel="False positive rate", ylabel="True positive rate", title="ROC curve")
    axes.legend()
    return figure


def _calibration(truth: pd.Series, probability: np.ndarray) -> "Figure":
    figure = _figure()
    axes = figure.subplots()
    observed, predicted = calibration_curve(truth, probability, n_bins=10, strategy="quantile")
    axes.plot(predicted, observed, marker="o", label="model")
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="perfect")
    axes.set(
        xlabel="Predicted probability of being late",
        ylabel="Observed share of late flights",
        title="Calibration by decile",
    )
    axes.legend()
    return figure


def _importance(model: Pipeline, frame: pd.DataFrame, truth: pd.Series) -> "Figure":
    # A sample bounds the time: each feature is shuffled and everything predicted again. Where each
    # column stays one and in its place, the sample is encoded once, not at each prediction.
    sample = frame.sample(min(_IMPORTANCE_ROWS, len(frame)), random_state=SEED)
    encoded = model[:-1].transform(sample)
    one_to_one = encoded.shape[1] == len(features.COLUMNS)
    found = permutation_importance(
        model[-1] if one_to_one else model,
        encoded if one_to_one else sample,
        truth.loc[sample.index],
        scoring="roc_auc",
        n_repeats=_IMPORTANCE_REPEATS,
        random_state=SEED,
    )
    order = np.argsort(found.importances_mean)
    figure = _figure()
    axes = figure.subplots()
    axes.barh([features.COLUMNS[i] for i in order], found.importances_mean[order])
    axes.set(xlabel="Loss of AUC when shuffled", title="Permutation importance")
    return figure
