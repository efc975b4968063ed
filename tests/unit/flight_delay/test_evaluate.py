import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from flight_delay import evaluate, features, model
from flight_training import columns


def test_metrics_against_values_made_by_hand() -> None:
    truth = pd.Series([0.0, 0.0, 1.0, 1.0])
    probability = np.array([0.1, 0.4, 0.35, 0.8])
    found = evaluate.metrics(truth, probability)
    assert found == pytest.approx(
        {
            # Three of the four pairs of a late and a punctual flight are in order.
            "roc_auc": 0.75,
            # Precision 1 at the first late flight, 2/3 at the second.
            "average_precision": (1 + 2 / 3) / 2,
            "brier_score": (0.1**2 + 0.4**2 + 0.65**2 + 0.2**2) / 4,
            "log_loss": -sum(map(math.log, (0.9, 0.6, 0.35, 0.8))) / 4,
            "base_rate": 0.5,
            "flights": 4.0,
        }
    )
    assert all(type(value) is float for value in found.values())


def test_plots_are_figures_with_labelled_axes(flights: pd.DataFrame, weather: pd.DataFrame) -> None:
    arrived = flights[flights["arr_delay"].notna()].head(600)
    frame, truth = features.build(arrived, weather), features.late(arrived)
    classifier = model.create(iterations=5).fit(frame, truth)
    found = evaluate.plots(classifier, frame, truth, classifier.predict_proba(frame)[:, 1])
    assert set(found) == {"roc", "calibration", "feature_importance"}
    for figure in found.values():
        assert isinstance(figure, Figure)
        (axes,) = figure.axes
        assert axes.get_title()
        assert axes.get_xlabel()
    _importance_of_each_column(found)


def test_importance_is_of_the_flights_columns_however_they_are_encoded(
    flights: pd.DataFrame, weather: pd.DataFrame
) -> None:
    arrived = flights[flights["arr_delay"].notna()].head(600)
    frame, truth = features.build(arrived, weather), features.late(arrived)
    classifier = Pipeline([("columns", columns.encoder()), ("linear", LogisticRegression())])
    classifier.fit(frame, truth)
    _importance_of_each_column(
        evaluate.plots(classifier, frame, truth, classifier.predict_proba(frame)[:, 1])
    )


def _importance_of_each_column(found: dict[str, Figure]) -> None:
    bars = found["feature_importance"].axes[0]
    assert sorted(label.get_text() for label in bars.get_yticklabels()) == sorted(features.COLUMNS)
    lengths = [bar.get_width() for bar in bars.patches]
    assert lengths == sorted(lengths)
    assert max(lengths) > 0
    (curve, chance) = found["roc"].axes[0].lines
    assert list(chance.get_ydata()) == [0, 1]
    assert curve.get_ydata()[0] == 0
    assert curve.get_ydata()[-1] == 1
