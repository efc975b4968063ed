"""Commands in a shell whose variables are meant for something else."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from mlops_infra import direct, object_store
from mlops_platform.pipelines.pipelines_api import PipelinesApi
from mlops_stack import ambient, environment, probes
from mlops_stack.outputs import StackOutputs
from mlops_toolchain import layout
from tests.unit.nonsense import NOBODY, NONSENSE


@pytest.fixture
def nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NONSENSE.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"pipelines": []}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            own = self.headers["Origin"] == f"http://{self.headers['Host']}"
            self.send_response(403 if own else 200, "")
            self.end_headers()
            self.wfile.write(b"Cross-origin request blocked")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    found = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.shutdown()
    thread.join()
    found.server_close()


@pytest.fixture
def store() -> Iterator[str]:
    found = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    found.start()
    host, port = found.get_host_and_port()
    yield f"http://{host}:{port}"
    found.stop()


@pytest.mark.usefixtures("nonsense")
def test_the_stacks_own_services_are_reached_without_a_proxy(server: str) -> None:
    with direct.client() as client:
        assert client.get(server).is_success
    assert PipelinesApi(server).pipeline_named("any") is None


@pytest.mark.usefixtures("nonsense")
def test_the_stacks_own_store_takes_nothing_from_the_shell(store: str) -> None:
    connection = object_store.Connection(
        endpoint=store, region="us-east-1", access_key="key", secret_key="secret"
    )
    s3 = object_store.client(connection)
    object_store.create_bucket(s3, "models")
    assert object_store.bucket_exists(s3, "models")
    assert not object_store.bucket_exists(s3, "others")


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://10.210.255.254:30080", True),
        ("http://127.0.0.1:5000", True),
        ("http://localhost:5000", True),
        ("https://s3.eu-central-1.amazonaws.com", False),
        ("http://93.184.216.34", False),
    ],
)
def test_only_addresses_of_private_networks_are_the_stacks_own(url: str, private: bool) -> None:
    assert direct.is_private(url) == private


def test_what_the_user_has_excluded_from_the_proxy_stays_excluded() -> None:
    chosen = ambient.variables({"NO_PROXY": "corp.example", "no_proxy": "10.9.0.1, corp.example"})
    assert chosen["NO_PROXY"] == chosen["no_proxy"]
    assert chosen["NO_PROXY"].split(",")[:2] == ["corp.example", "10.9.0.1"]
    assert {"127.0.0.1", "localhost", "10.0.0.0/8"} <= set(chosen["NO_PROXY"].split(","))
    assert "no_grpc_proxy" not in chosen
    assert "127.0.0.1" in ambient.variables({"no_grpc_proxy": "a"})["no_grpc_proxy"]


def test_programs_that_pulumi_starts_get_them_too() -> None:
    assert "127.0.0.1" in environment.variables()["no_proxy"]


def test_grpc_on_this_machine_is_reached_without_a_proxy() -> None:
    # The engine and its plugins speak it; its library reads the variables by itself.
    program = """
import concurrent.futures, grpc
from mlops_stack import ambient
ambient.apply()
server = grpc.server(concurrent.futures.ThreadPoolExecutor())
port = server.add_insecure_port("127.0.0.1:0")
server.start()
grpc.channel_ready_future(grpc.insecure_channel(f"127.0.0.1:{port}")).result(timeout=10)
server.stop(None)
print("✓")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **NONSENSE, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.stdout, done.returncode) == ("✓\n", 0), done.stderr


def test_a_page_that_is_refused_its_own_requests_does_not_answer(server: str) -> None:
    problem = probes.of(StackOutputs(mlflow_url=server))["MLflow"]()
    assert problem is not None
    assert "403: Cross-origin request blocked" in problem


def test_a_store_is_asked_for_its_buckets_with_its_keys(store: str) -> None:
    outputs = StackOutputs(
        s3_url=store,
        s3_region="us-east-1",
        s3_access_key="key",
        s3_secret_key="secret",
        buckets={"models": "kept-models"},
    )
    probe = probes.of(outputs)["S3"]
    assert probe() == "has no bucket kept-models; run `make up` to restart it"
    connection = object_store.Connection(
        endpoint=store, region="us-east-1", access_key="key", secret_key="secret"
    )
    object_store.create_bucket(object_store.client(connection), "kept-models")
    assert probe() is None


def test_what_is_refused_is_named_with_the_remedy() -> None:
    problem = probes.of(StackOutputs(mlflow_url=NOBODY, kubeflow_url=NOBODY))["Kubeflow API"]()
    assert problem == "does not answer (ConnectError); run `make up` to restart it"


# A value per way in: the shell's, make's own, and a second line of a recipe.
_HOSTILE = ["dev;touch {0}", "'; touch {0}; '", '"; touch {0}; "', "`touch {0}`", "$(touch {0})"]
_HOSTILE += [
    "$(shell touch {0})",
    "$$(touch {0})",
    "x\ntouch {0}\n",
    "$(eval x:=$(shell touch {0}))",
]
_VARIABLES = (
    *("STACK", "FORMAT", "BASE", "MONTHS", "PARAMETERS", "FRAMEWORK", "FLIGHTS", "VERSION"),
    *("ROWS", "WORKLOAD"),
    *("WEIGHT", "KEEP", "KEEP_TO", "RESTORE", "NAME", "TTL", "TEMPLATE", "PUSH", "TO"),
)


@pytest.mark.parametrize("hostile", _HOSTILE)
@pytest.mark.parametrize("by", ["command line", "environment"])
def test_no_variable_of_make_is_run(hostile: str, by: str, tmp_path: Any) -> None:
    marks = {name: tmp_path / name for name in _VARIABLES}
    given = {name: hostile.format(mark) for name, mark in marks.items()}
    # Every recipe of the Makefile runs, with a program in Python's place that shows what it got.
    (tmp_path / "show").write_text('#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done\n')
    (tmp_path / "show").chmod(0o755)
    words = [f"{name}={value}" for name, value in given.items()] if by == "command line" else []
    targets = ["status", "run", "train", "predict", "canary", "envs", "run", "promote", "rollback"]
    for target in targets:
        done = subprocess.run(
            ["make", "--silent", f"PYTHON={tmp_path / 'show'}", target, *words],
            cwd=layout.checkout(),
            env=os.environ if words else {**os.environ, **given},
            capture_output=True,
            text=True,
            check=True,
        )
        if target == "status":
            assert given["STACK"] in done.stdout.split("\0")
    assert not [name for name, mark in marks.items() if mark.exists()]
