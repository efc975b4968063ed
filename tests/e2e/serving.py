"""What the tests of both serving engines share: load, the gateway, the log, and waiting."""

import io
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest

from mlops_infra import object_store
from mlops_infra.node.layout import StateFolder
from mlops_infra.object_store import Connection
from mlops_toolchain import layout
from mlops_workloads import gateway_configuration
from mlops_workloads.gateway_configuration import Route
from tests.e2e.conftest import Commands

READY_SECONDS = 120
_GATEWAY = ("--namespace", "serving-gateway")
_STORE = ("--namespace", "object-storage")


def wait(condition: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> float:
    """Return after how many seconds a condition held, or fail."""
    start = time.monotonic()
    while time.monotonic() < start + seconds:
        if condition():
            return time.monotonic() - start
        time.sleep(0.5)
    pytest.fail(f"{what} did not happen within {seconds:.0f} s")


def champion(kubectl: Callable[..., str], kind: str, outputs: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest of the version that serves."""
    found = json.loads(kubectl("get", kind, "--output", "json"))["items"]
    prefix = f"flight-delay-v{outputs['model_version']}-"
    (manifest,) = [each for each in found if each["metadata"]["name"].startswith(prefix)]
    return dict(manifest)


def apply(kubectl: Callable[..., str], manifest: dict[str, Any]) -> None:
    """Apply a manifest."""
    kubectl("apply", "--server-side", "--filename", "-", stdin=json.dumps(manifest))


@contextmanager
def forward(stack: Commands, namespace: str, target: str, port: int) -> Iterator[str]:
    """Give a URL of this machine that leads to a port of a Pod or Service."""
    command = [
        *(str(layout.bin_dir() / "kubectl"), "--namespace", namespace),
        *("--kubeconfig", str(StateFolder.of(stack.name).kubeconfig)),
        *("port-forward", target, f":{port}"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        local = process.stdout.readline().rpartition(" ->")[0].rpartition(":")[2]
        yield f"http://127.0.0.1:{local}"
        process.terminate()


class Load:
    """Requests at a steady pace, from some threads, until told to stop."""

    def __init__(
        self,
        url: str,
        body: Any,
        version: Callable[[Any], str],
        per_second: float = 60,
        threads: int = 16,
    ) -> None:
        self.answers: Counter[str] = Counter()
        self._url, self._body, self._pause = url, body, threads / per_second
        self._version = version
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(threads)
        self._threads = threads

    def __enter__(self) -> "Load":
        self._futures = [self._pool.submit(self._run) for _ in range(self._threads)]
        self._start = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for future in self._futures:
            future.result()
        self.seconds = time.monotonic() - self._start

    @property
    def failed(self) -> dict[str, int]:
        return {k: v for k, v in self.answers.items() if not k.startswith("version ")}

    @property
    def rate(self) -> float:
        return self.answers.total() / self.seconds

    def _run(self) -> None:
        # The standard library's client: what a request costs here, the servers do not get.
        parts = urlsplit(self._url)
        body, headers = json.dumps(self._body), {"Content-Type": "application/json"}
        connection = HTTPConnection(parts.netloc, timeout=30)
        due = time.monotonic()
        while not self._stop.is_set():
            try:
                connection.request("POST", parts.path, body, headers)
                answer = connection.getresponse()
                text = answer.read()
                good = answer.status == 200
                found = f"version {self._version(json.loads(text))}" if good else text.decode()
            except (OSError, HTTPException) as error:
                connection.close()
                found = repr(error)
            self.answers[found] += 1
            due += self._pause
            time.sleep(max(0.0, due - time.monotonic()))
        connection.close()


def configuration(kubectl: Callable[..., str]) -> str:
    """Return the gateway's configuration."""
    text = kubectl("get", "configmap", "serving-gateway", "--output", "json", *_GATEWAY)
    return str(json.loads(text)["data"]["nginx.conf"])


def configure(kubectl: Callable[..., str], configuration: str) -> None:
    """Give the gateway another configuration, as an update does."""
    patch = {"data": {"nginx.conf": configuration}}
    kubectl("patch", "configmap", "serving-gateway", "--patch", json.dumps(patch), *_GATEWAY)
    (name,) = kubectl("get", "deployments", "--output", "name", *_GATEWAY).split()
    kubectl("rollout", "restart", name, *_GATEWAY)
    kubectl("rollout", "status", name, "--timeout=90s", *_GATEWAY)


@contextmanager
def routed(kubectl: Callable[..., str], outputs: dict[str, Any], route: Route) -> Iterator[str]:
    """Give the URL of a route that the gateway has meanwhile, instead of its own."""
    original = configuration(kubectl)
    configure(kubectl, gateway_configuration.render([route]))
    try:
        yield f"{outputs['gateway_url']}{route.path}"
    finally:
        configure(kubectl, original)


@contextmanager
def without_object_store(kubectl: Callable[..., str]) -> Iterator[None]:
    """Stop the stack's object store meanwhile."""
    (gateway,) = kubectl("get", "deployments", "--output", "name", *_STORE).split()
    kubectl("scale", gateway, "--replicas=0", *_STORE)
    kubectl("wait", "--for=delete", "pod", "--all", "--timeout=60s", *_STORE)
    try:
        yield
    finally:
        kubectl("scale", gateway, "--replicas=1", *_STORE)


def logged(outputs: dict[str, Any], request_id: str) -> pd.DataFrame:
    """Return what the prediction log holds of a request."""
    s3 = object_store.client(
        Connection(
            endpoint=outputs["s3_url"],
            region=outputs["s3_region"],
            access_key=outputs["s3_access_key"],
            secret_key=outputs["s3_secret_key"],
        )
    )
    found = s3.list_objects_v2(Bucket="artifacts", Prefix="predictions/flight-delay/")
    bodies = [
        s3.get_object(Bucket="artifacts", Key=each["Key"])["Body"].read()
        for each in found.get("Contents", [])
    ]
    tables = [pd.read_parquet(io.BytesIO(body)) for body in bodies]
    whole = pd.concat(tables) if tables else pd.DataFrame({"request_id": [], "row": []})
    return whole[whole["request_id"] == request_id].sort_values("row")
