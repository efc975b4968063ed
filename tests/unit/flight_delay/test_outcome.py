import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from flight_delay.dataset import DatasetError
from flight_delay.outcome import outcome, write

OUTCOME = {"run_id": "r1", "state": "FAILED", "error": {"code": 9, "message": "no memory"}}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    boto3.client("s3").create_bucket(Bucket="pipelines")
    yield "s3://pipelines/outcomes"
    server.stop()


def test_the_outcome_is_in_a_new_folder(tmp_path: Path) -> None:
    address = write(OUTCOME, folder=f"{tmp_path}/new/outcomes/", run_id="r1")
    assert address == f"{tmp_path}/new/outcomes/r1.json"
    assert json.loads(Path(address).read_text()) == OUTCOME


def test_the_outcome_is_in_the_bucket(s3: str) -> None:
    assert write(OUTCOME, folder=s3, run_id="r1") == "s3://pipelines/outcomes/r1.json"
    body = boto3.client("s3").get_object(Bucket="pipelines", Key="outcomes/r1.json")["Body"]
    assert json.loads(body.read()) == OUTCOME


def test_a_retried_step_writes_over_its_own_file(tmp_path: Path) -> None:
    write(OUTCOME, folder=str(tmp_path), run_id="r1")
    address = write({**OUTCOME, "state": "SUCCEEDED"}, folder=str(tmp_path), run_id="r1")
    assert json.loads(Path(address).read_text())["state"] == "SUCCEEDED"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"file/outcomes/r1.json cannot be written"):
        write(OUTCOME, folder=f"{tmp_path}/file/outcomes", run_id="r1")


def _run(*tasks: tuple[str, str]) -> dict[str, object]:
    details = [{"display_name": name, "state": state} for name, state in tasks]
    return {"run_id": "r1", "display_name": "n", "run_details": {"task_details": details}}


def test_a_step_that_failed_and_was_tried_again_is_no_failure() -> None:
    run = _run(("executor(0)", "FAILED"), ("executor(1)", "SUCCEEDED"), ("train", "SUCCEEDED"))
    assert outcome({**run, "created_at": "2026"}) == {
        "run_id": "r1",
        "name": "n",
        "state": "SUCCEEDED",
        "failed": [],
        "parameters": {},
        "started": "2026",
    }


def test_a_failed_step_is_named() -> None:
    found = outcome(_run(("train", "FAILED"), ("record", "RUNNING"), ("preprocess", "SUCCEEDED")))
    assert (found["state"], found["failed"]) == ("FAILED", ["train"])
