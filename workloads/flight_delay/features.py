"""What the model sees of a flight: its schedule, carrier, route and the weather at departure."""

import pandas as pd

CATEGORICAL = ("carrier", "origin", "dest")
SCHEDULE = (
    "month",
    "day_of_week",
    "scheduled_departure_minute",
    "scheduled_arrival_minute",
    "distance",
)
WEATHER = (
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
)
NUMERIC = (*SCHEDULE, *WEATHER)
COLUMNS = (*CATEGORICAL, *NUMERIC)

# Later arrivals than this many minutes count as late, as in the airlines' own statistics.
LATE_MINUTES = 15


def build(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Return the features, one row for each flight in its order, columns `COLUMNS`.

    Text columns stay text and missing weather stays missing: the model handles both, so that a
    carrier that training never saw is no error.

    Args:
        flights: columns of `dataset.FLIGHT_COLUMNS`; the outcome is not used.
        weather: columns of `dataset.WEATHER_COLUMNS`, at most one row for each airport and hour.
    """
    date = pd.to_datetime(flights[["year", "month", "day"]])
    schedule = pd.DataFrame(
        {
            "carrier": flights["carrier"],
            "origin": flights["origin"],
            "dest": flights["dest"],
            "month": flights["month"],
            "day_of_week": date.dt.day_of_week,
            "scheduled_departure_minute": _minutes(flights["sched_dep_time"]),
            "scheduled_arrival_minute": _minutes(flights["sched_arr_time"]),
            "distance": flights["distance"],
            "time_hour": flights["time_hour"],
        }
    )
    joined = schedule.merge(weather, on=["origin", "time_hour"], how="left", validate="m:1")
    joined.index = flights.index
    frame = joined[list(COLUMNS)].astype(dict.fromkeys(NUMERIC, "float64"))
    return frame.astype(dict.fromkeys(CATEGORICAL, "object"))


def late(flights: pd.DataFrame) -> pd.Series:
    """Return whether each flight arrived late: 1, 0, or missing when it never arrived."""
    delay = flights["arr_delay"]
    return (delay > LATE_MINUTES).astype("float64").where(delay.notna())


def _minutes(clock: pd.Series) -> pd.Series:
    """Return minutes since midnight of a time written as 1435 for 14:35."""
    return clock // 100 * 60 + clock % 100
