"""Figures of a stack that is up and serves on KServe: latency by way, memory, apply to prediction.

`python benchmarks/serving.py STACK` prints one row a figure.
"""

import argparse
import copy
import itertools
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

import httpx

from flight_rollout import inference_service, labelled_sample
from flight_rollout.kubectl import Kubectl
from mlops_stack.pulumi_cli import Stack
from mlops_toolchain import layout
from mlops_workloads import rollout

REQUESTS = 600
_TRIAL = "figures"
_MEBIBYTE = 2**20


class Serving:
    """The champion of a stack on KServe.

    Args:
        outputs: the stack's outputs, secrets included.
    """

    def __init__(self, outputs: dict[str, Any]) -> None:
        self._outputs = outputs
        self.namespace = str(outputs["kserve_namespace"])
        self.kubectl = Kubectl(rollout.access(outputs["kubeconfig"]), self.namespace)
        prefix = f"flight-delay-v{outputs['model_version']}-"
        served = [each["metadata"]["name"] for each in self.kubectl.get("inferenceservices")]
        self.name = next(name for name in served if name.startswith(prefix))

    def pod(self) -> dict[str, Any]:
        """Return the champion's Pod."""
        label = f"--selector=serving.kserve.io/inferenceservice={self.name}"
        return next(p for p in self.kubectl.get("pods", label) if not _ends(p))

    def ways(self) -> dict[str, str]:
        """Return the address of the server by each way to it."""
        (service,) = self.kubectl.get(f"service/{inference_service.service(self.name)}")
        return {
            "container": f"http://{self.pod()['status']['podIP']}:8080",
            "Service": f"http://{service['spec']['clusterIP']}",
            "gateway": str(self._outputs["kserve_url"]),
        }

    def apply_to_prediction(self, rows: list[dict[str, Any]]) -> float:
        """Return the seconds from an InferenceService's creation to its first prediction."""
        (champion,) = self.kubectl.get(f"inferenceservice/{self.name}")
        manifest = {
            "apiVersion": champion["apiVersion"],
            "kind": champion["kind"],
            "metadata": {
                "name": _TRIAL,
                "annotations": {"serving.kserve.io/autoscalerClass": "none"},
            },
            "spec": copy.deepcopy(champion["spec"]),
        }
        path, body = inference_service.request(rows)
        start = time.monotonic()
        self._run("apply", "--filename", "-", stdin=json.dumps(manifest))
        try:
            while not (service := self.kubectl.get(f"service/{_TRIAL}-predictor")):
                time.sleep(0.1)
            url = f"http://{service[0]['spec']['clusterIP']}/{path}"
            while not _answers(url, body):
                time.sleep(0.1)
            return time.monotonic() - start
        finally:
            self._run("delete", f"inferenceservice/{_TRIAL}")

    def memory(self, namespace: str, name: str) -> float:
        """Return the MiB of resident memory of a Pod, without page cache.

        Args:
            namespace: the Pod's namespace.
            name: begin of its name.
        """
        (node,) = self.kubectl.get("nodes")
        path = f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"
        for pod in json.loads(self._run("get", "--raw", path))["pods"]:
            reference = pod["podRef"]
            if reference["namespace"] == namespace and reference["name"].startswith(name):
                return float(pod["memory"]["rssBytes"]) / _MEBIBYTE
        raise LookupError(f"no Pod {namespace}/{name}… runs")

    def _run(self, *words: str, stdin: str = "") -> str:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(self._outputs["kubeconfig"])
            file.flush()
            program = str(layout.bin_dir() / "kubectl")
            return subprocess.run(
                [program, f"--kubeconfig={file.name}", f"--namespace={self.namespace}", *words],
                input=stdin,
                text=True,
                stdout=subprocess.PIPE,
                check=True,
            ).stdout


def latencies(
    urls: dict[str, str], body: dict[str, Any], requests: int = REQUESTS
) -> dict[str, list[float]]:
    """Return milliseconds of each request by each way, in turn, from one client.

    Args:
        urls: address of predictions by way.
        body: what is sent.
        requests: how many by each way.
    """
    found: dict[str, list[float]] = {way: [] for way in urls}
    with httpx.Client(timeout=30) as client:
        for number, (way, url) in itertools.product(range(-50, requests), urls.items()):
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
    serving = Serving(outputs)
    # Before the load: idle.
    for what, namespace, name, target in (
        ("server", serving.namespace, serving.name, 230),
        ("controller", "kserve", "kserve-controller-manager", 100),
    ):
        memory = serving.memory(namespace, name)
        row(f"KServe's {what}, resident when idle", f"≤ {target} MiB", f"{memory:.0f} MiB")
    rows = labelled_sample.read(str(layout.dataset_dir()), month=6, flights=20).rows
    path, body = inference_service.request(rows[:1])
    times = latencies({way: f"{url}/{path}" for way, url in serving.ways().items()}, body)
    base = {q: _quantile(times["container"], q) for q in (50, 99)}
    for way, values in times.items():
        p50, p99 = (_quantile(values, q) for q in (50, 99))
        target = "p50 and p99 at most 1.1 times the container's" if way == "Service" else "report"
        ratio = f" ({p50 / base[50]:.2f}, {p99 / base[99]:.2f} times)" if way != "container" else ""
        row(f"KServe, through the {way}", target, f"p50 {p50:.1f} ms, p99 {p99:.1f} ms{ratio}")
    seconds = serving.apply_to_prediction(rows)
    row("KServe, apply to first prediction", "≤ 12 s", f"{seconds:.1f} s")


def _answers(url: str, body: dict[str, Any]) -> bool:
    try:
        return httpx.post(url, json=body, timeout=5).is_success
    except httpx.HTTPError:
        return False


def _ends(pod: dict[str, Any]) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stack")
    measure(
        Stack(parser.parse_args().stack).outputs(),
        lambda figure, target, measured: print(f"| {figure} | {target} | {measured} |", flush=True),
    )
