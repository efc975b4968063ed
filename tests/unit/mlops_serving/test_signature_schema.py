"""What MLflow noted of a model's input is what its servers ask for."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

from mlops_serving.prediction_log import PredictionLog
from mlops_serving.predictor import ModelError, Predictor
from mlops_serving.schema import SchemaError, SignatureSchema
from tests.unit.mlops_serving.models import write

FRAME = pd.DataFrame({"radius": [1.5, 9.0, 2.0, 8.0], "cells": [1, 4, 2, 5]})
ROW: dict[str, Any] = {"radius": 8.5, "cells": 4}


def _schema(frame: pd.DataFrame = FRAME) -> SignatureSchema:
    return SignatureSchema.read({"signature": infer_signature(frame).to_dict()})


def test_the_fields_are_those_of_the_signature() -> None:
    schema = _schema(FRAME.assign(ward="a"))
    assert schema.fields == ("radius", "cells", "ward")
    assert schema.texts == {"ward"}


def test_rows_become_the_table_that_the_model_was_trained_on() -> None:
    table = _schema().frame([{"cells": 4, "radius": 9}, ROW])
    pd.testing.assert_frame_equal(
        table, pd.DataFrame({"radius": [9.0, 8.5], "cells": [4, 4]}), check_dtype=True
    )


def test_what_nobody_measured_is_no_number() -> None:
    assert _schema().frame([{**ROW, "radius": None}])["radius"].isna().all()


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"radius": 1.0}, "row 0, cells: missing"),
        ({**ROW, "size": 1}, "row 0, size: unknown; the fields are radius, cells"),
        ({**ROW, "radius": "wide"}, "row 0, radius: should be a double, not 'wide'"),
        ({**ROW, "cells": 1.5}, "row 0, cells: should be a long, not 1.5"),
        ({**ROW, "cells": None}, "row 0, cells: should be a long, not None"),
        ({**ROW, "cells": True}, "row 0, cells: should be a long, not True"),
    ],
)
def test_another_request_is_refused_with_what_is_wrong(row: dict[str, Any], what: str) -> None:
    with pytest.raises(SchemaError) as refused:
        _schema().frame([row])
    assert what in str(refused.value)


@pytest.mark.parametrize(
    ("rows", "what"),
    [([], "at least one row"), ("x", "a list of rows"), ([1], "a row is an object of fields")],
)
def test_what_is_no_list_of_rows_is_refused(rows: Any, what: str) -> None:
    with pytest.raises(SchemaError, match=what):
        _schema().frame(rows)


@pytest.mark.parametrize("signature", [None, {}, {"inputs": json.dumps([{"type": "tensor"}])}])
def test_a_model_without_named_columns_is_refused(tmp_path: Path, signature: Any) -> None:
    fitted = LogisticRegression().fit(FRAME, [0, 1, 0, 1])
    write(tmp_path, fitted, signature=signature)
    with pytest.raises(ModelError, match="no signature with named columns; log it with an input"):
        Predictor(tmp_path, model_version="1", log=PredictionLog(bucket="", prefix="p"))


def test_any_classifier_of_scikit_learn_answers(tmp_path: Path) -> None:
    fitted = LogisticRegression().fit(FRAME, [0, 1, 0, 1])
    write(tmp_path, fitted, signature=infer_signature(FRAME).to_dict())
    predictor = Predictor(tmp_path, model_version="1", log=PredictionLog(bucket="", prefix="p"))
    answer = predictor.answer([{"cells": 1, "radius": 1.0}, ROW])
    assert answer.probabilities == pytest.approx(
        fitted.predict_proba(pd.DataFrame({"radius": [1.0, 8.5], "cells": [1, 4]}))[:, 1]
    )
    with pytest.raises(SchemaError):
        predictor.answer([{"radius": 1.0}])
    assert yaml.safe_load((tmp_path / "MLmodel").read_text())["signature"]
