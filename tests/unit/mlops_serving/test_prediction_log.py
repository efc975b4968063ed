import io
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer

from mlops_serving.prediction_log import PredictionLog
from tests.unit.flight_serving.flights import FLIGHT

BUCKET = "artifacts"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    _use(monkeypatch, f"http://{host}:{port}")
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    yield client
    client.delete_objects(
        Bucket=BUCKET, Delete={"Objects": [{"Key": k} for k in _keys(client)] or [{"Key": "x"}]}
    )
    client.delete_bucket(Bucket=BUCKET)
    server.stop()


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        _use(monkeypatch, f"http://127.0.0.1:{free.getsockname()[1]}")


def _use(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)


def _keys(client: Any) -> list[str]:
    return [o["Key"] for o in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def _read(client: Any) -> pd.DataFrame:
    bodies = [client.get_object(Bucket=BUCKET, Key=k)["Body"].read() for k in _keys(client)]
    return pd.concat([pd.read_parquet(io.BytesIO(body)) for body in bodies], ignore_index=True)


def _wait(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_closing_writes_what_was_recorded(s3: Any) -> None:
    log = PredictionLog(bucket=BUCKET, prefix="predictions/flight-delay")
    log.record("a", "3", [FLIGHT, FLIGHT], [0.25, 0.5])
    log.record("b", "3", [FLIGHT], [0.75])
    log.close()
    table = _read(s3).sort_values(["request_id", "row"])
    assert list(table["request_id"]) == ["a", "a", "b"]
    assert list(table["row"]) == [0, 1, 0]
    assert list(table["probability"]) == [0.25, 0.5, 0.75]
    assert set(table["model_version"]) == {"3"}
    assert set(table["carrier"]) == {"UA"}
    assert str(table["time"].dt.tz) == "UTC"
    day = table["time"].iloc[0].date().isoformat()
    assert all(key.startswith(f"predictions/flight-delay/{day}/") for key in _keys(s3))
    assert log.counts.written == 2


def test_a_full_batch_and_an_old_one_are_written_without_closing(s3: Any) -> None:
    full = PredictionLog(bucket=BUCKET, prefix="p", flush_requests=2, flush_seconds=600)
    old = PredictionLog(bucket=BUCKET, prefix="p", flush_seconds=0.3)
    for name in ("a", "b"):
        full.record(name, "1", [FLIGHT], [0.5])
    old.record("c", "1", [FLIGHT], [0.5])
    _wait(lambda: full.counts.written == 2 and old.counts.written == 1)
    assert set(_read(s3)["request_id"]) == {"a", "b", "c"}


def test_a_store_that_is_down_neither_blocks_nor_raises(nowhere: None) -> None:
    log = PredictionLog(bucket=BUCKET, prefix="p", capacity=20, flush_requests=5, flush_seconds=0.1)
    start = time.monotonic()
    for number in range(200):
        log.record(str(number), "1", [FLIGHT], [0.5])
    assert time.monotonic() - start < 2
    _wait(lambda: log.counts.failures > 0)
    assert log.counts.dropped > 100
    log.close()
    assert log.counts.written == 0


def test_what_was_kept_is_written_when_the_store_is_back(s3: Any) -> None:
    s3.delete_bucket(Bucket=BUCKET)
    log = PredictionLog(bucket=BUCKET, prefix="p", flush_seconds=0.1)
    log.record("a", "1", [FLIGHT], [0.5])
    _wait(lambda: log.counts.failures > 0)
    s3.create_bucket(Bucket=BUCKET)
    _wait(lambda: log.counts.written == 1)
    log.close()
    assert list(_read(s3)["request_id"]) == ["a"]
    assert log.counts.dropped == 0


def test_the_rate_keeps_its_share_and_always_the_same(nowhere: None) -> None:
    logs = [PredictionLog(bucket=BUCKET, prefix="p", sample_rate=0.25) for _ in range(2)]
    names = [f"request-{number}" for number in range(2000)]
    kept = [[name for name in names if log._sampled(name)] for log in logs]
    assert kept[0] == kept[1]
    assert 0.2 < len(kept[0]) / len(names) < 0.3


def test_a_rate_of_nothing_keeps_nothing_and_starts_nothing(nowhere: None) -> None:
    log = PredictionLog(bucket=BUCKET, prefix="p", sample_rate=0)
    log.record("a", "1", [FLIGHT], [0.5])
    log.close()
    assert log.counts.sampled_out == 1
    assert log._thread is None


def test_a_wrong_rate_is_refused_but_a_server_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        PredictionLog(bucket=BUCKET, prefix="p", sample_rate=2)
    monkeypatch.setenv("PREDICTION_LOG_BUCKET", BUCKET)
    monkeypatch.setenv("PREDICTION_LOG_RATE", "all")
    assert PredictionLog.from_environment("m").bucket == ""
