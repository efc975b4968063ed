from typing import Any

import pytest

from flight_serving import schema
from mlops_serving import v2_protocol
from mlops_serving.schema import SchemaError
from tests.unit.flight_serving.flights import FLIGHT


def _tensors(*flights: dict[str, Any], flat: bool = False) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": [len(flights)] if flat else [len(flights), 1],
            "data": [flight[name] for flight in flights],
        }
        for name in flights[0]
    ]


@pytest.mark.parametrize("flat", [False, True])
def test_tensors_name_flights_in_their_order(flat: bool) -> None:
    other = {**FLIGHT, "month": 2}
    found = v2_protocol.read(schema.FIELDS, _tensors(FLIGHT, other, flat=flat))
    assert schema.frame(found).equals(schema.frame([FLIGHT, other]))


def test_the_order_of_tensors_means_nothing() -> None:
    found = v2_protocol.read(schema.FIELDS, list(reversed(_tensors(FLIGHT))))
    assert schema.frame(found).equals(schema.frame([FLIGHT]))


def test_text_may_come_as_bytes() -> None:
    flight = {k: v.encode() if isinstance(v, str) else v for k, v in FLIGHT.items()}
    assert schema.frame(v2_protocol.read(schema.FIELDS, _tensors(flight))).equals(
        schema.frame([FLIGHT])
    )


def _changed(name: str, **changes: Any) -> list[dict[str, Any]]:
    return [
        {**tensor, **changes} if tensor["name"] == name else tensor for tensor in _tensors(FLIGHT)
    ]


@pytest.mark.parametrize(
    ("inputs", "what"),
    [
        ([], "inputs: needs one tensor for each of carrier"),
        (_changed("month", shape=[2, 1]), r"month: shape \[2, 1\] does not fit 1 values"),
        (_changed("month", shape=[1, 1, 1]), "month: shape"),
        (_changed("month", data="x"), "month: data needs a list"),
        (_changed("month", shape=[2], data=[1, 2]), "month: 2 values, but carrier has 1"),
        (_changed("origin", data=[b"\xff"]), "origin: needs text in UTF-8"),
        ([*_tensors(FLIGHT), _tensors(FLIGHT)[0]], "carrier: named more than once"),
    ],
)
def test_malformed_tensors_are_refused_by_name(inputs: list[dict[str, Any]], what: str) -> None:
    with pytest.raises(SchemaError, match=what):
        v2_protocol.read(schema.FIELDS, inputs)


def test_a_missing_field_is_named() -> None:
    inputs = [tensor for tensor in _tensors(FLIGHT) if tensor["name"] != "distance"]
    with pytest.raises(SchemaError, match="row 0, distance: missing"):
        schema.frame(v2_protocol.read(schema.FIELDS, inputs))
