from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

# The model too, for its libraries must be loaded before their threads can be limited.
from flight_delay import dataset, model  # noqa: F401
from tests.unit.flight_delay import data


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Two busy cores: more threads than one only spin."""
    with threadpool_limits(1):
        yield


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
