"""Parameters as users write them on a command line."""

import sys

import pytest

from mlops_stack.__main__ import main
from mlops_stack.parameters import AssignmentError, parse


def test_values_are_json_or_text() -> None:
    found = parse(["iterations=200", "training_months=1-3", 'candidates=[{"leaves": 15}]', "x="])
    assert found == {
        "iterations": 200,
        "training_months": "1-3",
        "candidates": [{"leaves": 15}],
        "x": "",
    }


def test_fields_of_an_object_need_no_quotes() -> None:
    found = parse(["trainer=pytorch", "network.epochs=8", "network.learning_rate=0.01"])
    assert found == {"trainer": "pytorch", "network": {"epochs": 8, "learning_rate": 0.01}}


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["epochs"], "'epochs' is not NAME=VALUE"),
        (["=3"], "'=3' is not NAME=VALUE"),
        (["network=3", "network.epochs=8"], "sets a field of network, which is 3"),
    ],
)
def test_what_is_no_assignment_is_refused(assignments: list[str], message: str) -> None:
    with pytest.raises(AssignmentError, match=message):
        parse(assignments)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["preview", "--format", "html"], "✗ FORMAT=: invalid choice: 'html'"),
        (["train", "--framework"], "✗ FRAMEWORK=: expected one argument"),
        (["run", "--parameters", "a='b"], "✗ PARAMETERS=a='b: No closing quotation"),
    ],
)
def test_wrong_arguments_are_one_line(
    words: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mlops_stack", *words])
    with pytest.raises(SystemExit) as ended:
        sys.exit(main())
    assert ended.value.code
    said = capsys.readouterr().err
    assert said.startswith(line)
    assert said.count("\n") == 1
