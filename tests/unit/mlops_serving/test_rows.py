"""Tables of the protocols, as rows."""

import pytest

from flight_serving import schema
from mlops_serving.schema import SchemaError, rows_of
from tests.unit.flight_serving.flights import FLIGHT


def test_a_table_becomes_rows() -> None:
    values = list(FLIGHT.values())
    assert rows_of(schema.FIELDS, [], [values]) == [FLIGHT]
    assert rows_of(schema.FIELDS, list(FLIGHT), [values]) == [FLIGHT]


def test_a_table_with_a_short_row_or_a_name_twice_is_refused() -> None:
    with pytest.raises(SchemaError, match="row 1: 1 values for 2 fields: month, dest"):
        rows_of(schema.FIELDS, ["month", "dest"], [[1, "IAH"], [1]])
    with pytest.raises(SchemaError, match="month: named more than once"):
        rows_of(schema.FIELDS, ["month", "month"], [[1, 1]])
    with pytest.raises(SchemaError, match="row 0: needs a list of values"):
        rows_of(schema.FIELDS, ["month"], ["1"])
