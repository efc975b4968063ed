from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.pipeline import Pipeline

from flight_delay import model
from flight_serving import schema
from mlops_serving.prediction_log import PredictionLog
from mlops_serving.predictor import AnswerError, ModelError, Predictor
from mlops_serving.schema import SchemaError
from tests.unit.flight_serving.flights import FLIGHT
from tests.unit.mlops_serving.models import write


@pytest.fixture(scope="module")
def fitted() -> Pipeline:
    rows = [
        {
            **FLIGHT,
            "scheduled_departure_minute": minute,
            "carrier": "UA" if minute % 2 else "B6",
            "wind_gust": float(minute % 20),
        }
        for minute in range(300, 700)
    ]
    late = np.array([float(minute > 500) for minute in range(300, 700)])
    return model.create(iterations=5).fit(schema.frame(rows), late)


def _predictor(folder: Path) -> Predictor:
    return Predictor(
        folder,
        model_version="7",
        log=PredictionLog(bucket="", prefix="p"),
        schema=schema.FlightSchema(),
    )


@pytest.mark.parametrize("place", [".", "model"])
def test_the_answer_is_the_models(tmp_path: Path, fitted: Pipeline, place: str) -> None:
    write(tmp_path / place, fitted)
    rows = [FLIGHT, {**FLIGHT, "scheduled_departure_minute": 600, "carrier": "??"}]
    answer = _predictor(tmp_path).answer(rows, "mine")
    expected: pd.Series = fitted.predict_proba(schema.frame(rows))[:, 1]
    assert answer.probabilities == pytest.approx(expected)
    assert answer.probabilities[0] < 0.5 < answer.probabilities[1]
    assert (answer.model_version, answer.request_id) == ("7", "mine")


def test_a_request_without_id_gets_one(tmp_path: Path, fitted: Pipeline) -> None:
    write(tmp_path, fitted)
    predictor = _predictor(tmp_path)
    assert predictor.answer([FLIGHT]).request_id != predictor.answer([FLIGHT]).request_id


def test_a_malformed_request_is_not_answered(tmp_path: Path, fitted: Pipeline) -> None:
    write(tmp_path, fitted)
    with pytest.raises(SchemaError, match="month"):
        _predictor(tmp_path).answer([{**FLIGHT, "month": "April"}])


def test_a_folder_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no file MLmodel"):
        _predictor(tmp_path)
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": {"tensorflow": {}}}))
    with pytest.raises(ModelError, match="no scikit-learn model, but tensorflow"):
        _predictor(tmp_path)
    flavour = {"pickled_model": "model.pkl"}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": {"sklearn": flavour}}))
    with pytest.raises(ModelError, match=r"names model\.pkl, which is not there"):
        _predictor(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_answer_that_is_no_number_is_refused(
    tmp_path: Path, fitted: Pipeline, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    write(tmp_path, fitted)
    predictor = _predictor(tmp_path)
    monkeypatch.setattr(
        predictor._model, "predict_proba", lambda _: np.array([[0.5, 0.5], [0.5, value]])
    )
    with pytest.raises(AnswerError, match=f"version 7 of the model answers row 1 with {value}"):
        predictor.answer([FLIGHT, FLIGHT])
