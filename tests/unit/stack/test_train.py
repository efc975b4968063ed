"""What `make train` refuses before it asks a cluster."""

import pytest

from mlops_stack.parameters import AssignmentError
from mlops_stack.pulumi_cli import Stack
from mlops_stack.train import TrainError, train


@pytest.mark.parametrize(
    ("framework", "months", "assignments", "message"),
    [
        ("", "1-3", [], "FRAMEWORK= is none; write FRAMEWORK=pytorch or FRAMEWORK=tensorflow"),
        ("keras", "1-3", [], "FRAMEWORK=keras is none"),
        ("pytorch", "1-12", [], "December"),
        ("pytorch", "many", [], "is not a month"),
        ("pytorch", "", ["epochs=0"], "epochs is 0"),
        ("pytorch", "", ["leaves=3"], "there is no parameter 'leaves'"),
    ],
)
def test_wrong_arguments_are_refused(
    framework: str, months: str, assignments: list[str], message: str
) -> None:
    with pytest.raises(TrainError, match=message):
        train(Stack("none"), framework=framework, training_months=months, assignments=assignments)


def test_what_is_no_assignment_is_refused() -> None:
    with pytest.raises(AssignmentError, match="NAME=VALUE"):
        train(Stack("none"), framework="pytorch", training_months="", assignments=["epochs"])
