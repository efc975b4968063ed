from collections.abc import Iterator
from pathlib import Path

import boto3
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer

from flight_delay import dataset
from flight_delay.dataset import DatasetError, Source


@pytest.fixture
def s3(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the slice from S3 on loopback; return its URI."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    client = boto3.client("s3")
    client.create_bucket(Bucket="datasets")
    for file in folder.rglob("*.parquet"):
        client.upload_file(str(file), "datasets", f"nyc/1/{file.relative_to(folder)}")
    yield "s3://datasets/nyc/1"
    server.stop()


def test_months_are_read_in_the_order_asked_for(folder: Path) -> None:
    flights = Source(uri=f"{folder}/").read_flights((2, 1))
    assert tuple(flights.columns) == dataset.FLIGHT_COLUMNS
    assert list(flights["month"].unique()) == [2, 1]
    assert flights.index.is_unique


def test_the_weather_has_one_row_for_each_airport_and_hour(folder: Path) -> None:
    weather = Source(uri=str(folder)).read_weather()
    assert tuple(weather.columns) == dataset.WEATHER_COLUMNS
    assert not weather.duplicated(["origin", "time_hour"]).any()


def test_s3_gives_what_the_folder_gives(folder: Path, s3: str) -> None:
    local, remote = Source(uri=str(folder)), Source(uri=s3)
    pd.testing.assert_frame_equal(remote.read_flights((1,)), local.read_flights((1,)))
    pd.testing.assert_frame_equal(remote.read_weather(), local.read_weather())


def test_a_missing_object_names_itself_and_the_remedy(s3: str) -> None:
    with pytest.raises(DatasetError, match=r"nyc/1/flights/.*month=07.parquet .*check --data"):
        Source(uri=s3).read_flights((7,))


def test_an_endpoint_that_is_no_url_is_an_error_with_a_remedy(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9000")
    with pytest.raises(DatasetError, match="check --data, and for S3 its endpoint and keys"):
        Source(uri=s3).read_weather()


def test_a_missing_month_names_the_file_and_the_remedy(folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"month=07.parquet cannot be read: .*check --data"):
        Source(uri=str(folder)).read_flights((1, 7))


def test_a_file_of_another_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "weather.parquet").write_text("no parquet")
    with pytest.raises(DatasetError, match=r"weather\.parquet cannot be read"):
        Source(uri=str(tmp_path)).read_weather()


def test_a_table_without_the_columns_is_an_error(tmp_path: Path) -> None:
    pd.DataFrame({"origin": ["JFK"]}).to_parquet(tmp_path / "weather.parquet")
    with pytest.raises(DatasetError, match="time_hour"):
        Source(uri=str(tmp_path)).read_weather()


def test_the_digest_stands_for_the_content(folder: Path) -> None:
    source = Source(uri=str(folder))
    flights = source.read_flights((1,))
    assert dataset.digest(flights) == dataset.digest(source.read_flights((1,)))
    assert len(dataset.digest(flights)) == 16
    changed = flights.copy()
    changed.loc[0, "distance"] += 1
    assert dataset.digest(changed) != dataset.digest(flights)
    assert dataset.digest(flights, changed) != dataset.digest(changed, flights)
