"""Predictions side by side, against servers of this process."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from mlops_stack.outputs import WorkloadOutputs
from mlops_stack.predict import PredictError, ask, lines, predict
from mlops_stack.pulumi_cli import Stack
from mlops_toolchain import layout
from mlops_workloads.flight_delay_commands import FlightDelayCommands

FLIGHTS = FlightDelayCommands()


def _has(**urls: str) -> WorkloadOutputs:
    told = {
        "namespace": "serving",
        "server": "server",
        "model": "flight-delay",
        "credentials": "store",
        "artifacts": "s3://artifacts/mlflow",
        "log_bucket": "",
        "log_rate": 0.0,
        "name": "flight-delay",
    }
    servers = [{**told, "engine": name.removesuffix("_url")} for name in urls]
    return WorkloadOutputs(model_servers=servers, **urls)


needs_flights = pytest.mark.skipif(
    not layout.dataset_dir().exists(), reason="no flights; run `make toolchain`"
)


@contextmanager
def _server(answer: dict[str, Any]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@needs_flights
def test_a_line_a_flight_and_a_column_an_engine() -> None:
    kserve = {"model_version": "3", "outputs": [{"data": [0.25, 0.75]}]}
    seldon = {"meta": {"tags": {"model_version": "2"}}, "data": {"ndarray": [[0.125], [0.5]]}}
    with _server(kserve) as first, _server(seldon) as second:
        predictions = ask(FLIGHTS, _has(kserve_url=first, seldon_url=second), 2)
    _, head, *rows = lines(FLIGHTS, predictions)
    assert head.split() == ["flight", "departs", "KServe", "v3", "Seldon", "v2", "was"]
    assert [row.split()[3:5] for row in rows] == [["0.250", "0.125"], ["0.750", "0.500"]]


@needs_flights
def test_an_engine_that_answers_less_than_it_was_asked_is_named() -> None:
    with _server({"outputs": []}) as url, pytest.raises(PredictError, match="KServe answers 2"):
        ask(FLIGHTS, _has(kserve_url=url), 2)


@needs_flights
def test_an_engine_that_does_not_answer_is_named() -> None:
    with pytest.raises(PredictError, match=r"Seldon does not answer at http://127\.0\.0\.1:9"):
        ask(FLIGHTS, _has(seldon_url="http://127.0.0.1:9"), 1)


@pytest.mark.parametrize("rows", ["0", "-1", "many", "1001", "9" * 5000])
def test_what_is_no_number_of_rows_is_refused(rows: str) -> None:
    with pytest.raises(PredictError, match="no number from 1 to 1000"):
        predict(Stack("dev"), rows=rows)
