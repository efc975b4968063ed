import math
from typing import Any

import pytest

from flight_delay import features
from flight_serving import schema
from mlops_serving.schema import SchemaError
from tests.unit.flight_serving.flights import FLIGHT


def test_the_fields_are_the_models_columns_in_their_order() -> None:
    assert schema.FIELDS == features.COLUMNS


def test_a_frame_has_the_models_columns_and_types() -> None:
    shuffled = dict(reversed(FLIGHT.items()))
    table = schema.frame([FLIGHT, shuffled])
    assert tuple(table.columns) == features.COLUMNS
    assert set(table[list(features.NUMERIC)].dtypes.astype(str)) == {"float64"}
    assert set(table[list(features.CATEGORICAL)].dtypes.astype(str)) == {"object"}
    assert table.iloc[0].equals(table.iloc[1])
    assert math.isnan(table["wind_gust"][0])


def test_missing_weather_may_be_null_or_not_a_number() -> None:
    table = schema.frame([{**FLIGHT, "temp": None}, {**FLIGHT, "temp": math.nan}])
    assert table["temp"].isna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distance": None}, "row 0, distance: should be a valid number, not None"),
        ({"distance": "far"}, "row 0, distance: should be a valid number, not 'far'"),
        ({"distance": True}, "row 0, distance: should be a valid number, not True"),
        ({"distance": math.inf}, "row 0, distance: should be a finite number"),
        ({"distance": 10**400}, "row 0, distance: should be a"),
        ({"month": math.inf}, "row 0, month: must be a whole number, not inf"),
        ({"temp": -math.inf}, "row 0, temp: should be a finite number"),
        ({"distance": math.nan}, "row 0, distance: should be a finite number"),
        ({"distance": 0}, "row 0, distance: should be greater than 0, not 0"),
        ({"month": 13}, "row 0, month: should be less than or equal to 12, not 13"),
        ({"month": 1.5}, "row 0, month: must be a whole number, not 1.5"),
        ({"humid": -1}, "row 0, humid: should be greater than or equal to 0, not -1"),
        ({"temp": "warm"}, "row 0, temp: should be a valid number, not 'warm'"),
        ({"carrier": 7}, "row 0, carrier: should be a valid string, not 7"),
        ({"carrier": ""}, "row 0, carrier: "),
        ({"dep_delay": 3}, "row 0, dep_delay: unknown; the fields are carrier, origin"),
    ],
)
def test_a_wrong_value_is_refused_by_row_and_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError) as caught:
        schema.frame([{**FLIGHT, **change}])
    assert message in str(caught.value)


@pytest.mark.parametrize("name", features.COLUMNS)
def test_every_field_is_needed(name: str) -> None:
    row = {key: value for key, value in FLIGHT.items() if key != name}
    with pytest.raises(SchemaError, match=f"row 1, {name}: missing; needs "):
        schema.frame([FLIGHT, row])


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(SchemaError) as caught:
        schema.frame([{**FLIGHT, "month": 0}, {**FLIGHT, "dest": 1, "visib": -1}])
    for part in ("row 0, month", "row 1, dest", "row 1, visib"):
        assert part in str(caught.value)


def test_a_long_list_of_problems_is_cut() -> None:
    with pytest.raises(SchemaError) as caught:
        schema.frame([{}] * 50)
    assert str(caught.value).count("missing") == 10


@pytest.mark.parametrize("rows", [[], {}, "UA", [1], ["UA"], [None]])
def test_what_is_no_list_of_objects_is_refused(rows: Any) -> None:
    with pytest.raises(SchemaError):
        schema.frame(rows)
