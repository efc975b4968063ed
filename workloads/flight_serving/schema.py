"""The features of a request: one schema, whichever engine serves the model."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import numpy as np
import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from flight_delay import features

_MOST_PROBLEMS = 10


class SchemaError(ValueError):
    """A request is not what the model was trained on; the message names each row and field."""


def _missing(value: Any) -> Any:
    # Tables have no other word for a value that nobody measured.
    return None if isinstance(value, float) and math.isnan(value) else value


def _whole(value: Any) -> Any:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError("must be a whole number")
    return value


_Number = Annotated[float, Field(allow_inf_nan=False)]
_Whole = Annotated[_Number, BeforeValidator(_whole)]
_Measured = Annotated[_Number | None, BeforeValidator(_missing)]
_Code = Annotated[str, Field(min_length=1, max_length=8)]


class Flight(BaseModel):
    """A flight as the model sees it; the fields are `features.COLUMNS` in their order.

    Weather that nobody measured is null; a carrier, origin or destination that training never saw
    is no error. Bounds are wide: they refuse what cannot be meant, such as another unit.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    carrier: _Code = Field(description="IATA code of the airline")
    origin: _Code = Field(description="IATA code of the airport of departure")
    dest: _Code = Field(description="IATA code of the airport of arrival")
    month: _Whole = Field(ge=1, le=12, description="month, 1 to 12")
    day_of_week: _Whole = Field(ge=0, le=6, description="day of the week, Monday is 0")
    scheduled_departure_minute: _Whole = Field(ge=0, le=1440, description="minutes after midnight")
    scheduled_arrival_minute: _Whole = Field(ge=0, le=1440, description="minutes after midnight")
    distance: _Number = Field(gt=0, le=12500, description="miles")
    temp: _Measured = Field(ge=-100, le=150, description="temperature in °F")
    dewp: _Measured = Field(ge=-100, le=150, description="dew point in °F")
    humid: _Measured = Field(ge=0, le=110, description="relative humidity in %")
    wind_dir: _Measured = Field(ge=0, le=360, description="direction of the wind in degrees")
    # The airports' own record holds a gust of more than 1,000 mph; what was recorded is served.
    wind_speed: _Measured = Field(ge=0, le=1500, description="mph")
    wind_gust: _Measured = Field(ge=0, le=1500, description="mph")
    precip: _Measured = Field(ge=0, le=100, description="inches in the hour")
    pressure: _Measured = Field(ge=800, le=1100, description="millibars at sea level")
    visib: _Measured = Field(ge=0, le=100, description="miles")


FIELDS: Final = tuple(Flight.model_fields)


def frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return requests as the model's input: `features.COLUMNS`, numbers as float64.

    Args:
        rows: one mapping of field to value for each flight.

    Raises:
        SchemaError: no rows, or a field that is missing, unknown, of another type or out of range.
    """
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Sequence):
        raise SchemaError("a request is a list of flights, each an object of fields")
    if not rows:
        raise SchemaError("a request needs at least one flight")
    problems: list[str] = []
    flights = []
    for number, row in enumerate(rows):
        try:
            flights.append(Flight.model_validate(dict(row)).model_dump())
        except ValidationError as error:
            problems += [_problem(number, dict(each)) for each in error.errors(include_url=False)]
        except (TypeError, ValueError) as error:
            raise SchemaError(f"row {number}: a flight is an object of fields") from error
        if len(problems) >= _MOST_PROBLEMS:
            problems = [*problems[:_MOST_PROBLEMS], "…"]
            break
    if problems:
        raise SchemaError("; ".join(problems))
    # Two blocks of one type each: a conversion of every column takes ten times as long, a quarter
    # of a prediction.
    return pd.concat(
        [
            pd.DataFrame(
                np.array([[flight[name] for name in names] for flight in flights], dtype=kind),
                columns=list(names),
                dtype=kind,
            )
            for names, kind in ((features.CATEGORICAL, "object"), (features.NUMERIC, "float64"))
        ],
        axis=1,
    )


def rows_of(names: Sequence[Any], values: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Return a table as rows for `frame`.

    Args:
        names: fields of the columns; empty for the schema's own order.
        values: one sequence of values for each flight.

    Raises:
        SchemaError: a name twice, or a row with more or fewer values than names.
    """
    fields = [str(name) for name in names] or list(FIELDS)
    twice = sorted({name for name in fields if fields.count(name) > 1})
    if twice:
        raise SchemaError(f"{', '.join(twice)}: named more than once")
    found = []
    for number, row in enumerate(values):
        if isinstance(row, str | bytes) or not isinstance(row, Sequence):
            raise SchemaError(f"row {number}: needs a list of values, one for each field")
        if len(row) != len(fields):
            raise SchemaError(
                f"row {number}: {len(row)} values for {len(fields)} fields: {', '.join(fields)}"
            )
        found.append(dict(zip(fields, row, strict=True)))
    return found


def _problem(number: int, error: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in error["loc"]) or "row"
    match error["type"]:
        case "missing":
            what = f"missing; needs {Flight.model_fields[name].description}"
        case "extra_forbidden":
            what = f"unknown; the fields are {', '.join(FIELDS)}"
        case "value_error":
            what = error["msg"].removeprefix("Value error, ") + f", not {error['input']!r}"
        case _:
            text = error["msg"].removeprefix("Input should be ")
            what = f"should be {text}, not {_short(error['input'])}"
    return f"row {number}, {name}: {what}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
