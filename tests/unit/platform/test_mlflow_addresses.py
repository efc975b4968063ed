"""MLflow's server, run as its Deployment runs it, by requests as browsers and clients send them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pulumi
import pytest

from mlops_infra.buckets import Buckets, BucketsArgs, ObjectStore
from mlops_platform.tracking.mlflow import Mlflow, MlflowArgs
from mlops_stack.rehearsal.ports import free_port
from tests.unit import recording

NODE = "10.210.255.254"
_START_SECONDS = 120


def _container() -> dict[str, Any]:
    def program() -> None:
        store = ObjectStore(
            endpoint=pulumi.Output.from_input(f"http://{NODE}:30000"),
            cluster_endpoint="http://s3.s3.svc.cluster.local:7070",
            shared_endpoint=pulumi.Output.from_input(f"http://{NODE}:30000"),
            region="eu-west-1",
            access_key=pulumi.Output.secret("AK"),
            secret_key=pulumi.Output.secret("SK"),
        )
        Mlflow(
            "mlflow",
            MlflowArgs(
                cluster=recording.cluster(NODE),
                buckets=Buckets("buckets", BucketsArgs(store=store, ephemeral=True)),
                storage_size="1Gi",
            ),
        )

    found = recording.run(program)
    (container,) = found.named("mlflow-server").inputs["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the pinned server with the Deployment's command, arguments and variables."""
    folder: Path = tmp_path_factory.mktemp("mlflow")
    container = _container()
    variables = {entry["name"]: entry["value"] for entry in container["env"]}
    variables |= {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
        "HOME": str(folder),
    }
    port = str(free_port())
    arguments = ["127.0.0.1" if a == "0.0.0.0" else a for a in container["args"]]  # noqa: S104
    arguments[arguments.index("--port") + 1] = port
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *container["command"][1:], *arguments],
            env={"PATH": os.environ["PATH"], **variables},
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _healthy(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield url
    finally:
        process.kill()
        process.wait()


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _search(
    server: str, *, host: str, origin: str | None = None, kind: str = "application/json"
) -> int:
    """Return the status of what a browser sends for an experiment's list of runs."""
    headers = {"Host": host, "Content-Type": kind} | ({"Origin": origin} if origin else {})
    return httpx.post(
        f"{server}/ajax-api/2.0/mlflow/runs/search",
        headers=headers,
        content='{"experiment_ids": ["0"]}',
        timeout=60,
        trust_env=False,
    ).status_code


@pytest.mark.parametrize(
    "address",
    [
        f"{NODE}:31321",
        "localhost:5000",
        "localhost:8080",
        "127.0.0.1:41234",
        "[::1]:5000",
        "mlflow:5000",
        "mlflow.mlflow:5000",
        "mlflow.mlflow.svc:5000",
        "mlflow.mlflow.svc.cluster.local:5000",
        "mlflow.mlflow.svc.cluster.local",
    ],
)
def test_its_own_pages_and_clients_are_answered(server: str, address: str) -> None:
    assert _search(server, host=address, origin=f"http://{address}") == 200
    assert _search(server, host=address) == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://evil.example:31321",
        f"http://{NODE}.evil.example",
        f"http://{NODE}.evil.example:31321",
        "http://mlflow.evil.example:5000",
        "http://localhost.evil.example",
        f"https://evil.example/{NODE}:31321",
        "http://10.210.0.9:31321",
        "null",
    ],
)
def test_a_foreign_page_changes_and_reads_nothing(server: str, origin: str) -> None:
    for kind in ("application/json", "text/plain"):
        assert _search(server, host=f"{NODE}:31321", origin=origin, kind=kind) == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:31321",
        f"{NODE}.evil.example:31321",
        "10.evil.example",
        "10.evil.example:31321",
        "mlflow.evil.example:5000",
        "localhost.evil.example:5000",
    ],
)
def test_a_name_that_somebody_else_points_here_is_refused(server: str, host: str) -> None:
    """DNS rebinding: the browser takes the page for its own site."""
    for path in ("/", "/ajax-api/2.0/mlflow/experiments/search?max_results=1"):
        answer = httpx.get(server + path, headers={"Host": host}, timeout=60, trust_env=False)
        assert answer.status_code == 403


def test_probes_are_answered_whatever_they_name(server: str) -> None:
    answer = httpx.get(f"{server}/health", headers={"Host": "10.244.0.7:5000"}, trust_env=False)
    assert answer.status_code == 200
