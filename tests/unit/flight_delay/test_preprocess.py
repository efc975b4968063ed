from pathlib import Path

import pandas as pd
import pytest

from flight_delay import features, preprocess
from flight_delay.dataset import DatasetError
from flight_delay.preprocess import LABEL, NoFlightsError, prepare
from tests.unit.flight_delay import data


def test_both_sets_have_the_features_and_the_label(folder: Path) -> None:
    prepared = prepare(training_months="1", evaluation_month=2, data=str(folder))
    for frame, month in ((prepared.training, 1), (prepared.evaluation, 2)):
        assert list(frame.columns) == [*features.COLUMNS, LABEL]
        assert set(frame["month"]) == {month}
        assert set(frame[LABEL]) == {0.0, 1.0}
    flights = pd.read_parquet(folder / data.FLIGHTS.format(1))
    arrived = flights["arr_delay"].notna()
    assert 0 < arrived.sum() < len(flights)
    assert len(prepared.training) == arrived.sum()
    assert prepared.training[LABEL].sum() == (flights["arr_delay"] > 15).sum()


def test_the_digest_changes_with_either_set(folder: Path) -> None:
    def digest(months: str, evaluation: int) -> str:
        return prepare(training_months=months, evaluation_month=evaluation, data=str(folder)).digest

    assert digest("1", 2) == digest("1", 2)
    assert len({digest("1", 2), digest("2", 1), digest("1", 1), digest("1-2", 2)}) == 4


def test_features_and_label_part_again(folder: Path) -> None:
    prepared = prepare(training_months="1", evaluation_month=2, data=str(folder))
    frame, truth = preprocess.split(prepared.training)
    assert list(frame.columns) == list(features.COLUMNS)
    assert truth.name == LABEL


def test_a_month_in_which_nothing_arrived_is_an_error(folder: Path, tmp_path: Path) -> None:
    changed = data.slice_of(folder, tmp_path / "changed", rows=100)
    february = changed / data.FLIGHTS.format(2)
    pd.read_parquet(february).assign(arr_delay=float("nan")).to_parquet(february)
    with pytest.raises(NoFlightsError, match=r"no flight of months \(2,\) arrived; choose other"):
        prepare(training_months="1", evaluation_month=2, data=str(changed))


def test_a_month_that_is_not_there_is_an_error(folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"month=05.parquet cannot be read"):
        prepare(training_months="1", evaluation_month=5, data=str(folder))
