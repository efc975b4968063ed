import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight_pipeline.parameters import DEFAULTS, ParametersError, validate

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


def test_nothing_given_means_the_defaults() -> None:
    assert validate({}) == dict(DEFAULTS)


@pytest.mark.parametrize(("months", "evaluation"), [("1", 2), ("1-3", 4), ("7-11", 12)])
def test_the_evaluation_month_follows_the_training_months(months: str, evaluation: int) -> None:
    assert validate({"training_months": months})["evaluation_month"] == evaluation


def test_a_given_evaluation_month_stays() -> None:
    assert validate({"training_months": "1-3", "evaluation_month": 9})["evaluation_month"] == 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rte": 0.1}, "there is no parameter 'learning_rte'; did you mean learning_rate"),
        (
            {"xyz": 1},
            "there is no parameter 'xyz'; there are canary_percent, candidates",
        ),
        ({"data": 3}, "data must be a folder or s3://bucket/prefix"),
        ({"training_months": "3-1"}, "training_months: '3-1' is outside 1 to 12 or runs backwards"),
        ({"evaluation_month": 13}, "evaluation_month is 13; write a month from 1 to 12"),
        ({"evaluation_month": 0}, "evaluation_month is 0; write a month from 1 to 12"),
        ({"evaluation_month": 4.5}, "evaluation_month is 4.5"),
        ({"evaluation_month": "4"}, "evaluation_month is '4'"),
        (
            {"evaluation_month": 2},
            "evaluation_month 2 is among the training months 1-3: .*write .*4",
        ),
        ({"learning_rate": 0}, "learning_rate is 0; write a number from 0.001 to 1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": True}, "learning_rate is True"),
        (
            {"iterations": 1.5},
            "iterations is 1.5; write a number from 1 to 2000 without a fraction",
        ),
        ({"iterations": 10**400}, "iterations is 1000"),
        ({"leaves": 1}, "leaves is 1; write a number from 2 to 255 without a fraction"),
        ({"promotion_margin": -0.1}, "promotion_margin is -0.1; write how much more ROC AUC"),
        ({"model_name": " "}, "model_name is empty; write the registered model's name"),
        ({"candidates": {"leaves": 3}}, "candidates must be a list of objects such as"),
        ({"trainer": "keras"}, "trainer is 'keras'; write sklearn, pytorch or tensorflow"),
        ({"network": {"epochs": 2}}, "trainer is sklearn; write trainer=pytorch"),
        ({"trainer": "pytorch", "network": 2}, "network must be an object such as"),
        ({"trainer": "pytorch", "network": {"epochs": 0}}, "network: epochs is 0; write"),
        ({"trainer": "pytorch", "leaves": 63}, "leaves: of trees, and trainer is pytorch"),
        ({"candidates": [3]}, "candidates must be a list of objects such as"),
        ({"candidates": [{}] * 21}, "21 candidates are too many; give at most 20"),
        ({"candidates": [{}, {"leafs": 3}]}, "candidate 2: .*'leafs'; did you mean leaves"),
        ({"candidates": [{"leaves": 999}]}, "candidate 1: leaves is 999; write a number from 2"),
    ],
)
def test_a_wrong_parameter_is_refused_with_the_remedy(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParametersError, match=message):
        validate(changes)


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(ParametersError) as caught:
        validate({"leaves": 1, "unheard_of": 1, "training_months": "x"})
    assert len(str(caught.value).splitlines()) == 3


def test_whole_numbers_reach_the_steps_without_a_fraction() -> None:
    found = validate({"evaluation_month": 5.0, "iterations": 10.0, "candidates": [{"leaves": 7.0}]})
    values = (found["evaluation_month"], found["iterations"], found["candidates"][0]["leaves"])
    assert values == (5, 10, 7)
    assert all(type(value) is int for value in values)


def test_what_was_given_is_not_changed() -> None:
    given_values: dict[str, Any] = {"candidates": [{"leaves": 7.0}], "training_months": "1"}
    before = copy.deepcopy(given_values)
    found = validate(given_values)
    found["candidates"].append({})
    assert given_values == before
    assert DEFAULTS["candidates"] == []


@given(st.dictionaries(st.sampled_from([*DEFAULTS, "data", "other"]), _JSON))
def test_any_values_are_usable_or_the_one_error(values: dict[str, Any]) -> None:
    try:
        found = validate(values)
    except ParametersError as error:
        assert str(error)
    else:
        assert type(found["evaluation_month"]) is int
        assert type(found["iterations"]) is int
        assert validate(found) == found


def test_a_network_has_a_trainer_of_networks() -> None:
    found = validate({"trainer": "tensorflow", "network": {"epochs": 2.0}})
    assert (found["trainer"], found["network"]) == ("tensorflow", {"epochs": 2})
    assert validate({})["trainer"] == "sklearn"
