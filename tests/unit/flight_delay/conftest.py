from pathlib import Path

import pandas as pd
import pytest

from flight_delay import dataset
from tests.unit.flight_delay import data


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data.whole(tmp_path_factory.mktemp("datasets"))


@pytest.fixture(scope="session")
def folder(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data.slice_of(whole, tmp_path_factory.mktemp("slice"), rows=1500)


@pytest.fixture(scope="session")
def all_flights(folder: Path) -> pd.DataFrame:
    return dataset.Source(uri=str(folder)).read_flights((1,))


@pytest.fixture(scope="session")
def all_weather(folder: Path) -> pd.DataFrame:
    return dataset.Source(uri=str(folder)).read_weather()


@pytest.fixture
def flights(all_flights: pd.DataFrame) -> pd.DataFrame:
    return all_flights.copy()


@pytest.fixture
def weather(all_weather: pd.DataFrame) -> pd.DataFrame:
    return all_weather.copy()
