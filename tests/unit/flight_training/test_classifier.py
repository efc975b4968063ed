"""The network as scikit-learn's classifier."""

import pickle

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from flight_delay import preprocess
from flight_training.classifier import pipeline, sizes
from flight_training.columns import encoder
from tests.unit.flight_delay import data


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> preprocess.Prepared:
    whole = data.whole(tmp_path_factory.mktemp("datasets"))
    folder = data.slice_of(whole, tmp_path_factory.mktemp("slice"), rows=300)
    return preprocess.prepare(training_months="1", evaluation_month=2, data=str(folder))


def _forward(inputs: np.ndarray, layers: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    for weights, biases in layers[:-1]:
        inputs = np.maximum(inputs @ weights + biases, 0)
    weights, biases = layers[-1]
    odds = inputs @ weights + biases
    return (1 / (1 + np.exp(-odds)))[:, 0]


def test_it_answers_as_the_network_does(prepared: preprocess.Prepared) -> None:
    frame, _ = preprocess.split(prepared.training)
    unseen, _ = preprocess.split(prepared.evaluation)
    columns = encoder()
    inputs = columns.fit_transform(frame)
    random = np.random.default_rng(1)
    layers = [
        (random.normal(size=shape), random.normal(size=shape[1]))
        for shape in sizes(inputs.shape[1], 8)
    ]
    model = pipeline(columns, layers)
    loaded = pickle.loads(pickle.dumps(model))  # noqa: S301 - just written
    expected = _forward(columns.transform(unseen), layers)
    for each in (model, loaded):
        probability = each.predict_proba(unseen)
        assert probability.shape == (len(unseen), 2)
        assert probability[:, 1] == pytest.approx(expected, abs=1e-6)
        assert probability.sum(axis=1) == pytest.approx(1)
        assert list(each.predict(unseen)) == list((expected > 0.5).astype(float))
    assert isinstance(loaded, Pipeline)


def test_missing_weather_and_unknown_carriers_are_no_error(prepared: preprocess.Prepared) -> None:
    frame, _ = preprocess.split(prepared.training)
    columns = encoder().fit(frame)
    odd = frame.head(2).assign(carrier="??", temp=float("nan"))
    assert np.isfinite(columns.transform(odd)).all()
