from typing import Any

import pytest

from flight_serving import schema
from mlops_serving import seldon_protocol
from mlops_serving.predictor import Answer
from mlops_serving.schema import SchemaError
from tests.unit.flight_serving.flights import FLIGHT


@pytest.mark.parametrize(
    "message",
    [
        {"data": {"names": list(FLIGHT), "ndarray": [list(FLIGHT.values())]}},
        {"data": {"ndarray": [list(FLIGHT.values())]}},
        {"jsonData": [FLIGHT]},
        {"jsonData": FLIGHT},
        {"data": {"names": [], "tensor": {"shape": [1, 17], "values": list(FLIGHT.values())}}},
    ],
)
def test_every_form_of_a_message_names_the_same_flight(message: dict[str, Any]) -> None:
    rows, request_id = seldon_protocol.read(schema.FIELDS, {**message, "meta": {"puid": "mine"}})
    assert schema.frame(rows).equals(schema.frame([FLIGHT]))
    assert request_id == "mine"


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ([], "a message is an object"),
        ({}, "data: missing"),
        ({"data": {}}, r"data\.ndarray: missing"),
        ({"data": {"ndarray": []}}, r"data\.ndarray: needs a list"),
        ({"data": {"names": "month", "ndarray": [[1]]}}, r"data\.names: needs a list"),
        ({"data": {"ndarray": [[1, 2]]}}, "row 0: 2 values for 17 fields"),
        ({"data": {"tensor": {"shape": [2, 2], "values": [1]}}}, "1 values do not fill"),
        ({"data": {"tensor": [1]}}, r"data\.tensor: needs a shape"),
    ],
)
def test_a_malformed_message_is_refused_by_name(message: Any, what: str) -> None:
    with pytest.raises(SchemaError, match=what):
        seldon_protocol.read(schema.FIELDS, message)


def test_an_answer_can_be_traced() -> None:
    answer = Answer(probabilities=[0.25, 0.5], model_version="3", request_id="mine")
    assert seldon_protocol.write(answer) == {
        "data": {"names": ["probability"], "ndarray": [[0.25], [0.5]]},
        "meta": {"puid": "mine", "tags": {"model_version": "3", "request_id": "mine"}},
    }
