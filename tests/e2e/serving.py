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
from typing import Any

import pandas as pd
import pytest
import urllib3

from mlops_infra.node.layout import StateFolder
from mlops_platform.serving import rollout
from mlops_rollout import gateway, gateway_configuration
from mlops_rollout.gateway_configuration import Route
from mlops_rollout.kubectl import Kubectl
from mlops_toolchain import layout
from tests.e2e import store
from tests.e2e.conftest import Commands

READY_SECONDS = 120
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

    def last(self, seconds: float) -> None:
        """Go on until requests have come for so many seconds in all."""
        time.sleep(max(0.0, self._start + seconds - time.monotonic()))

    @property
    def failed(self) -> dict[str, int]:
        return {k: v for k, v in self.answers.items() if not k.startswith("version ")}

    @property
    def rate(self) -> float:
        return self.answers.total() / self.seconds

    def _run(self) -> None:
        # A light client, for what a request costs here, the servers do not get; as others do, it
        # looks whether a connection is still there before it sends, and sends once.
        pool = urllib3.PoolManager(1, timeout=30, retries=False)
        due = time.monotonic()
        while not self._stop.is_set():
            try:
                answer = pool.request("POST", self._url, json=self._body)
                good = answer.status == 200
                found = f"version {self._version(answer.json())}" if good else answer.data.decode()
            except urllib3.exceptions.HTTPError as error:
                found = repr(error)
            self.answers[found] += 1
            due += self._pause
            time.sleep(max(0.0, due - time.monotonic()))
        pool.clear()


@contextmanager
def routed(stack: Commands, route: Route) -> Iterator[str]:
    """Give the URL of a route that the gateway has meanwhile, instead of its own."""
    outputs = stack.stack.outputs()
    kubectl = kubectl_of(outputs)
    own = gateway.read(kubectl)
    gateway.write(kubectl, gateway_configuration.render([route]), instead_of=own)
    try:
        yield f"{outputs['gateway_url']}{route.path}"
    finally:
        gateway.write(kubectl, own.files, instead_of=gateway.read(kubectl))


def kubectl_of(outputs: dict[str, Any]) -> Kubectl:
    """Return what reads and writes the gateway's namespace."""
    return Kubectl(rollout.access(outputs["kubeconfig"]), gateway.NAMESPACE)


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
    s3 = store.client(outputs)
    found = s3.list_objects_v2(Bucket="artifacts", Prefix="predictions/flight-delay/")
    bodies = [
        s3.get_object(Bucket="artifacts", Key=each["Key"])["Body"].read()
        for each in found.get("Contents", [])
    ]
    tables = [pd.read_parquet(io.BytesIO(body)) for body in bodies]
    whole = pd.concat(tables) if tables else pd.DataFrame({"request_id": [], "row": []})
    return whole[whole["request_id"] == request_id].sort_values("row")
