"""The choice among candidates, which needs no MLflow."""

from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from flight_delay import model, preprocess
from flight_delay.train import choose

BASE = {"learning_rate": 0.1, "iterations": 20, "leaves": 15}


@pytest.fixture(scope="module")
def training(folder: Path) -> pd.DataFrame:
    return preprocess.prepare(training_months="1", evaluation_month=2, data=str(folder)).training


def test_without_candidates_the_hyperparameters_stay(training: pd.DataFrame) -> None:
    assert choose(training, BASE, []) == (BASE, [])


def test_the_best_on_the_latest_fifth_is_chosen(training: pd.DataFrame) -> None:
    candidates = [{"iterations": 1, "leaves": 2}, {"iterations": 30}, {"learning_rate": 0.001}]
    chosen, scores = choose(training, BASE, candidates)
    cut = int(len(training) * 0.8)
    frame, truth = preprocess.split(training)
    expected = []
    for candidate in candidates:
        fitted = model.create(**{**BASE, **candidate}).fit(frame[:cut], truth[:cut])
        expected.append(roc_auc_score(truth[cut:], fitted.predict_proba(frame[cut:])[:, 1]))
    assert scores == pytest.approx(expected)
    assert len(set(scores)) == 3
    best = expected.index(max(expected))
    assert chosen == {**BASE, **candidates[best]}


def test_the_order_of_candidates_does_not_choose(training: pd.DataFrame) -> None:
    candidates = [{"iterations": 1, "leaves": 2}, {"iterations": 30}]
    assert choose(training, BASE, candidates)[0] == choose(training, BASE, candidates[::-1])[0]
