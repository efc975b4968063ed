"""Hyperparameters as users write them."""

import pytest

from flight_training.errors import TrainingError
from flight_training.settings import Settings, parse


def test_what_is_not_given_has_its_default() -> None:
    assert parse({"epochs": 7, "learning_rate": "0.01"}) == Settings(epochs=7, learning_rate=0.01)


def test_every_problem_is_named() -> None:
    with pytest.raises(TrainingError) as caught:
        parse({"epoch": 3, "epochs": 0, "batch_size": 20.5, "learning_rate": "fast"})
    message = str(caught.value)
    assert "there is no parameter 'epoch'" in message
    assert "epochs is 0; write a number from 1 to 500 without a fraction" in message
    assert "batch_size is 20.5" in message
    assert "learning_rate is 'fast'; write a number from 1e-06 to 1" in message


@pytest.mark.parametrize("value", ["nan", "inf", True, None, [], ""])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(TrainingError, match="learning_rate"):
        parse({"learning_rate": value})
