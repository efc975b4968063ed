"""The features of a request: one schema, whichever engine serves the model."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import numpy as np
import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from flight_delay import features
from mlops_serving.schema import SchemaError, check_rows

_MOST_PROBLEMS = 10


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


class FlightSchema:
    """The flight-delay model's fields, with their bounds."""

    fields = FIELDS
    texts = frozenset(features.CATEGORICAL)

    @staticmethod
    def frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
        """Return requests as the model's input; see `frame`."""
        return frame(rows)


def frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return requests as the model's input: `features.COLUMNS`, numbers as float64.

    Args:
        rows: one mapping of field to value for each flight.

    Raises:
        SchemaError: no rows, or a field that is missing, unknown, of another type or out of range.
    """
    check_rows(rows)
    problems: list[str] = []
    flights = []
    for number, row in enumerate(rows):
        try:
            flights.append(Flight.model_validate(dict(row)).model_dump())
        except ValidationError as error:
            problems += [_problem(number, dict(each)) for each in error.errors(include_url=False)]
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
