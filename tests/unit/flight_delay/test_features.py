from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline

from flight_delay import dataset, features, model
from tests.unit.flight_delay import data

# What is known only once the flight has left, or never arrives.
POST_DEPARTURE = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time")


@pytest.fixture(scope="module")
def trained(all_flights: pd.DataFrame, all_weather: pd.DataFrame) -> Pipeline:
    arrived = all_flights[all_flights["arr_delay"].notna()]
    classifier = model.create(iterations=10)
    return classifier.fit(features.build(arrived, all_weather), features.late(arrived))


def test_nothing_known_after_departure_is_read() -> None:
    assert not set(POST_DEPARTURE) - {"arr_delay"} & set(dataset.FLIGHT_COLUMNS)
    assert not set(POST_DEPARTURE) & set(features.COLUMNS)


def test_features_do_not_change_with_what_happens_after_departure(
    folder: Path, weather: pd.DataFrame
) -> None:
    complete = pd.read_parquet(folder / data.FLIGHTS.format(1))
    assert set(POST_DEPARTURE) <= set(complete.columns)
    expected = features.build(complete, weather)
    changed = complete.assign(**dict.fromkeys(POST_DEPARTURE, 9999.0))
    absent = complete.drop(columns=list(POST_DEPARTURE))
    pd.testing.assert_frame_equal(features.build(changed, weather), expected)
    pd.testing.assert_frame_equal(features.build(absent, weather), expected)


def test_one_row_for_each_flight_in_its_order(flights: pd.DataFrame, weather: pd.DataFrame) -> None:
    shuffled = flights.sample(frac=1, random_state=1)
    frame = features.build(shuffled, weather)
    assert list(frame.columns) == list(features.COLUMNS)
    assert frame.index.equals(shuffled.index)
    assert (frame["distance"] == shuffled["distance"]).all()
    assert (frame["dest"] == shuffled["dest"]).all()
    pd.testing.assert_frame_equal(frame.sort_index(), features.build(flights, weather))


def test_the_weather_is_that_of_the_airport_and_hour(
    flights: pd.DataFrame, weather: pd.DataFrame
) -> None:
    frame = features.build(flights, weather)
    row = frame.index[frame["temp"].notna()][7]
    flight = flights.loc[row]
    same = (weather["origin"] == flight["origin"]) & (weather["time_hour"] == flight["time_hour"])
    (expected,) = weather.loc[same, "temp"]
    assert frame.loc[row, "temp"] == expected
    assert frame["temp"].notna().mean() > 0.9


def test_an_hour_that_is_there_twice_is_refused(
    flights: pd.DataFrame, weather: pd.DataFrame
) -> None:
    with pytest.raises(pd.errors.MergeError):
        features.build(flights, pd.concat([weather, weather.head(1)]))


def test_clock_times_become_minutes(flights: pd.DataFrame, weather: pd.DataFrame) -> None:
    one = flights.head(1).assign(sched_dep_time=1435, sched_arr_time=5, day=1, month=1)
    (row,) = features.build(one, weather).to_dict("records")
    assert row["scheduled_departure_minute"] == 14 * 60 + 35
    assert row["scheduled_arrival_minute"] == 5
    assert row["day_of_week"] == 1  # 1 January 2013 was a Tuesday


def test_late_is_more_than_fifteen_minutes_and_unknown_when_cancelled() -> None:
    delays = pd.DataFrame({"arr_delay": [15.0, 15.5, 16.0, -20.0, np.nan]}, index=[4, 3, 2, 1, 0])
    expected = pd.Series([0.0, 1.0, 1.0, 0.0, np.nan], index=delays.index, name="arr_delay")
    pd.testing.assert_series_equal(features.late(delays), expected)


def test_cancelled_flights_are_in_the_data(flights: pd.DataFrame) -> None:
    assert features.late(flights).isna().any()


@settings(max_examples=12, deadline=None)
@given(
    carrier=st.one_of(st.text(max_size=3), st.none()),
    dest=st.text(max_size=4),
    origin=st.sampled_from(["EWR", "JFK", "LGA", "XXX"]),
    departure=st.integers(0, 23),
)
def test_unseen_values_and_missing_weather_give_a_probability(
    *,
    trained: Pipeline,
    all_flights: pd.DataFrame,
    all_weather: pd.DataFrame,
    carrier: str | None,
    dest: str,
    origin: str,
    departure: int,
) -> None:
    one = all_flights.head(1).assign(
        carrier=carrier, dest=dest, origin=origin, sched_dep_time=departure * 100
    )
    for weather in (all_weather, all_weather.head(0)):
        probability = trained.predict_proba(features.build(one, weather))
        assert probability.shape == (1, 2)
        assert 0 <= probability[0, 1] <= 1
        assert probability.sum() == pytest.approx(1)


def test_the_prediction_of_a_flight_is_its_own(
    trained: Pipeline, flights: pd.DataFrame, weather: pd.DataFrame
) -> None:
    """A batch gives what single requests give: nothing leaks between rows."""
    frame = features.build(flights.head(20), weather)
    batch = trained.predict_proba(frame)[:, 1]
    single = [trained.predict_proba(frame.iloc[[i]])[0, 1] for i in range(len(frame))]
    assert batch == pytest.approx(single)


def test_training_twice_gives_the_same_model(
    trained: Pipeline, flights: pd.DataFrame, weather: pd.DataFrame
) -> None:
    arrived = flights[flights["arr_delay"].notna()]
    frame = features.build(arrived, weather)
    again = model.create(iterations=10).fit(frame, features.late(arrived))
    assert (again.predict_proba(frame) == trained.predict_proba(frame)).all()
