"""Figures of a stack that serves: latency by way, the log's cost, memory, apply to prediction.

`python benchmarks/serving.py STACK` prints one row a figure.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from flight_delay import labelled_sample
from mlops_platform.serving import rollout
from mlops_rollout.engine import ModelServer
from mlops_rollout.engines import ENGINES
from mlops_rollout.kubectl import Kubectl
from mlops_rollout.registry import CHAMPION, Registry
from mlops_stack.pulumi_cli import Stack
from mlops_toolchain import layout

REQUESTS = 600
_NAMES = {"kserve": "KServe", "seldon": "Seldon"}
# Targets in MiB; a controller is named by its namespace and the begin of its Pod's name.
_SERVER_MEMORY = {"kserve": 230, "seldon": 250}
_CONTROLLERS = {
    "kserve": ("kserve", "kserve-controller-manager"),
    "seldon": ("seldon-system", "seldon-controller"),
}
_TRIAL = "figures"
_APP = Path(__file__).parent / "plain_app.py"
_APP_PORT = 8099
_CONTAINER = "kserve-container"
_MEBIBYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A second server of the champion.

    Attributes:
        pod: its Pod.
        url: address of its container.
        seconds: from its manifest to its first prediction.
    """

    pod: str
    url: str
    seconds: float


class Serving:
    """The champion of a stack on one engine.

    Args:
        outputs: the stack's outputs, secrets included.
        server: what serves it there.
    """

    def __init__(self, outputs: dict[str, Any], server: ModelServer) -> None:
        self._outputs, self._server, self.namespace = outputs, server, server.namespace
        self.engine = ENGINES[server.engine]
        self.kubectl = Kubectl(rollout.access(outputs["kubeconfig"]), self.namespace)
        champion = Registry(outputs["mlflow_url"], server.model).by_alias(CHAMPION)
        if champion is None:
            raise LookupError(f"{server.model} has no champion; run `make run`")
        self._version = champion.version
        label = f"--selector=mlops-platform/version={champion.version.number}"
        self._name = self.kubectl.get(self.engine.KIND, label)[0]["metadata"]["name"]

    def ways(self) -> dict[str, str]:
        """Return the address of the server by each way to it."""
        return {
            "container": self._container(self._name)[1],
            "Service": self._service(self._name),
            "gateway": str(self._outputs[f"{self._server.engine}_url"]),
        }

    @property
    def pod(self) -> str:
        """Name of the champion's Pod."""
        return self._container(self._name)[0]

    @contextmanager
    def trial(self, request: tuple[str, dict[str, Any]], *, log_rate: float) -> Iterator[Trial]:
        """Give a second server, which answers, and remove it.

        Args:
            request: path and body of its first request.
            log_rate: share of the predictions that it logs.
        """
        manifest = self.engine.manifest(replace(self._server, log_rate=log_rate), self._version)
        manifest["metadata"]["name"] = _TRIAL
        start = time.monotonic()
        self.kubectl.write("create", manifest)
        try:
            while not self.kubectl.get(f"service/{self.engine.service(_TRIAL)}"):
                time.sleep(0.1)
            url = f"{self._service(_TRIAL)}/{request[0]}"
            while not _answers(url, request[1]):
                time.sleep(0.1)
            seconds = time.monotonic() - start
            pod, address = self._container(_TRIAL)
            yield Trial(pod=pod, url=address, seconds=seconds)
        finally:
            self.kubectl.run("delete", self.engine.KIND, _TRIAL, seconds=120)

    @contextmanager
    def plain_app(self, trial: Trial) -> Iterator[str]:
        """Give the address of a plain FastAPI app beside a server of KServe, in its container."""
        with (
            self.kubectl.command(
                *("exec", "--stdin", f"--container={_CONTAINER}", trial.pod, "--"),
                *("python3", "-c", _APP.read_text(), str(_APP_PORT)),
            ) as command,
            subprocess.Popen(command, stdin=subprocess.PIPE) as app,
        ):
            yield f"{trial.url.rpartition(':')[0]}:{_APP_PORT}/predict"
            # Ends when its input does.
            app.communicate(timeout=30)

    def memory(self, namespace: str, name: str) -> float:
        """Return the MiB of resident memory of a Pod, without page cache.

        Args:
            namespace: the Pod's namespace.
            name: begin of its name.
        """
        (node,) = self.kubectl.get("nodes")
        path = f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"
        for pod in json.loads(self.kubectl.run("get", "--raw", path))["pods"]:
            reference = pod["podRef"]
            if reference["namespace"] == namespace and reference["name"].startswith(name):
                return float(pod["memory"]["rssBytes"]) / _MEBIBYTE
        raise LookupError(f"no Pod {namespace}/{name}… runs")

    def _service(self, name: str) -> str:
        (found,) = self.kubectl.get(f"service/{self.engine.service(name)}")
        return f"http://{found['spec']['clusterIP']}:{self.engine.SERVICE_PORT}"

    def _container(self, name: str) -> tuple[str, str]:
        (found,) = self.kubectl.get(f"endpoints/{self.engine.service(name)}")
        (subset,) = found["subsets"]
        (address,), port = subset["addresses"], subset["ports"][0]["port"]
        return address["targetRef"]["name"], f"http://{address['ip']}:{port}"


def latencies(
    requests: dict[str, tuple[str, Any]], count: int = REQUESTS
) -> dict[str, list[float]]:
    """Return milliseconds of each request by each way, in turn, from one client.

    Args:
        requests: address and body by way.
        count: how many by each way.
    """
    found: dict[str, list[float]] = {way: [] for way in requests}
    with httpx.Client(timeout=30) as client:
        for number, (way, (url, body)) in itertools.product(range(-50, count), requests.items()):
            start = time.perf_counter()
            client.post(url, json=body).raise_for_status()
            # The first ones warm up.
            if number >= 0:
                found[way].append((time.perf_counter() - start) * 1000)
    return found


def measure(outputs: dict[str, Any], row: Callable[[str, str, str], None]) -> None:
    """Report the figures of serving.

    Args:
        outputs: the stack's outputs, secrets included.
        row: takes a figure, its target and what was measured.
    """
    for server in outputs["model_servers"]:
        _measure(Serving(outputs, ModelServer.read(server)), server["engine"], row)


def _measure(serving: Serving, engine: str, row: Callable[[str, str, str], None]) -> None:
    name = _NAMES[engine]
    # Before the load: idle.
    for what, namespace, pod, target in (
        ("server", serving.namespace, serving.pod, _SERVER_MEMORY[engine]),
        ("controller", *_CONTROLLERS[engine], 100),
    ):
        memory = serving.memory(namespace, pod)
        row(f"{name}'s {what}, resident when idle", f"≤ {target} MiB", f"{memory:.0f} MiB")
    flights = labelled_sample.read(str(layout.dataset_dir()), month=6, flights=20).rows
    # The plain app knows no missing values.
    rows = [flight for flight in flights if None not in flight.values()]
    path, body = serving.engine.request("flight-delay", rows[:1])
    ways = {way: (f"{url}/{path}", body) for way, url in serving.ways().items()}
    times = latencies(ways)
    for way, values in times.items():
        target = "p50 and p99 at most 1.1 times the container's" if way == "Service" else "report"
        ratio = "" if way == "container" else _ratio(values, times["container"])
        row(f"{name}, through the {way}", target, _line(values) + ratio)
    with serving.trial(serving.engine.request("flight-delay", rows), log_rate=0) as trial:
        row(f"{name}, apply to first prediction", "≤ 12 s", f"{trial.seconds:.1f} s")
        times = latencies(
            {"logs": ways["container"], "does not log": (f"{trial.url}/{path}", body)}
        )
        row(
            f"{name}, each prediction logged against none",
            "p99 at most 1.15 times",
            _line(times["logs"]) + _ratio(times["logs"], times["does not log"]),
        )
        if engine == "kserve":
            with serving.plain_app(trial) as url:
                while not _answers(url, rows[:1]):
                    time.sleep(0.1)
                times = latencies({name: ways["container"], "FastAPI": (url, rows[:1])})
            row("a plain FastAPI app", "report", _line(times["FastAPI"]))
            row(
                f"{name}'s container against that app",
                "report",
                _line(times[name]) + _ratio(times[name], times["FastAPI"]),
            )


def _answers(url: str, body: Any) -> bool:
    try:
        return httpx.post(url, json=body, timeout=5).is_success
    except httpx.HTTPError:
        return False


def _line(values: list[float]) -> str:
    return f"p50 {_quantile(values, 50):.1f} ms, p99 {_quantile(values, 99):.1f} ms"


def _ratio(values: list[float], base: list[float]) -> str:
    p50, p99 = (_quantile(values, q) / _quantile(base, q) for q in (50, 99))
    return f" ({p50:.2f}, {p99:.2f} times)"


def _quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack")
    measure(
        Stack(parser.parse_args().stack).outputs(),
        lambda figure, target, measured: print(f"| {figure} | {target} | {measured} |", flush=True),
    )
