"""First step: raw flights and weather to the features and labels of two sets."""

from dataclasses import dataclass

import pandas as pd

from flight_delay import dataset, features, months

LABEL = "late"


class NoFlightsError(ValueError):
    """The chosen months hold no flight that arrived."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The two sets: columns `features.COLUMNS` and `LABEL`, one row a flight that arrived.

    Attributes:
        training: flights to train on, in the order of their departure.
        evaluation: flights to judge models by.
        digest: 16 hexadecimal digits that stand for the content of both.
    """

    training: pd.DataFrame
    evaluation: pd.DataFrame
    digest: str


def prepare(*, training_months: str, evaluation_month: int, data: str) -> Prepared:
    """Read the months and return both sets.

    Args:
        training_months: month or range, as 3 or 1-3.
        evaluation_month: 1 to 12.
        data: folder or `s3://bucket/prefix` of the Parquet files.

    Raises:
        DatasetError: the data cannot be read.
        NoFlightsError: no flight of a set arrived.
    """
    source = dataset.Source(uri=data)
    weather = source.read_weather()
    training = _set(source, months.parse(training_months).train, weather)
    evaluation = _set(source, (evaluation_month,), weather)
    digest = dataset.digest(training, evaluation)
    return Prepared(training=training, evaluation=evaluation, digest=digest)


def split(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Return a set's features and labels."""
    return frame[list(features.COLUMNS)], frame[LABEL]


def read(chosen: tuple[int, ...], *, data: str) -> pd.DataFrame:
    """Return one set.

    Args:
        chosen: months, 1 to 12.
        data: folder or `s3://bucket/prefix` of the Parquet files.

    Raises:
        DatasetError: the data cannot be read.
        NoFlightsError: no flight of the months arrived.
    """
    source = dataset.Source(uri=data)
    return _set(source, chosen, source.read_weather())


def _set(source: dataset.Source, chosen: tuple[int, ...], weather: pd.DataFrame) -> pd.DataFrame:
    flights = source.read_flights(chosen)
    # A cancelled flight has no arrival; whether it would have been late is unknown.
    flights = flights[flights["arr_delay"].notna()]
    if flights.empty:
        raise NoFlightsError(f"no flight of months {chosen} arrived; choose other months")
    frame = features.build(flights, weather)
    frame[LABEL] = features.late(flights)
    return frame
