"""Figures of Kubeflow Pipelines on a stack that is up: its idle cost, and where a step's time goes.

A Pod's own times are whole seconds. Its log has finer ones, which bound the step's Python.
"""

import json
import math
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlops_toolchain import layout

NAMESPACE = "kubeflow"
IDLE_SECONDS = 60
# What the Python of a step prints first and last; the launcher's own lines are before and after.
_PYTHON_STARTS = "Looking for component"
_PYTHON_ENDS = "Wrote executor output file"
_MEBIBYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class Step:
    """Seconds of one step of a run.

    Attributes:
        name: the task's name.
        driver: the Pod that decides what the step runs, to its last container's end.
        hand_off: from that end to the creation of the step's own Pod.
        start: from that creation to the start of the launcher in the step's container.
        launcher: the launcher before and after the step's Python, its imports of kfp included.
        python: the component's own code with what it imports.
        end: from the end of the step's container to the end of its Pod.
    """

    name: str
    driver: float
    hand_off: float
    start: float
    launcher: float
    python: float
    end: float

    @property
    def overhead(self) -> float:
        """Everything that is not the step's own Python."""
        return self.driver + self.hand_off + self.start + self.launcher + self.end


class Kubeflow:
    """Kubeflow Pipelines of a stack.

    Args:
        outputs: the stack's outputs, secrets included.
    """

    def __init__(self, outputs: dict[str, Any]) -> None:
        self._kubeconfig = outputs["kubeconfig"]

    def healthy_after_ready(self) -> float:
        """Return the seconds from the node's readiness to the API server's, whole ones."""
        node = json.loads(self._kubectl("get", "nodes", "-o", "json"))["items"][0]
        pods = self._kubectl("get", "pods", "-l", "app=ml-pipeline", "-o", "json")
        return _became(json.loads(pods)["items"][0], "Ready") - _became(node, "Ready")

    def idle(self) -> tuple[float, float]:
        """Return the MiB of resident memory and per cent of one core of Kubeflow's own Pods."""
        before = self._stats()
        time.sleep(IDLE_SECONDS)
        after = self._stats()
        memory = sum(pod["memory"]["rssBytes"] for pod in after.values()) / _MEBIBYTE
        spent = sum(
            pod["cpu"]["usageCoreNanoSeconds"] - before[name]["cpu"]["usageCoreNanoSeconds"]
            for name, pod in after.items()
        )
        # The kubelet's samples are some seconds old: their own times count.
        name = next(iter(after))
        seconds = _time(after[name]["cpu"]["time"]) - _time(before[name]["cpu"]["time"])
        return memory, 100 * spent / 1e9 / seconds

    def steps(self, run: str) -> list[Step]:
        """Return where the time of a finished run's executed steps went."""
        listed = self._kubectl("get", "pods", "-l", f"pipeline/runid={run}", "-o", "json")
        pods = {
            pod["metadata"]["annotations"]["workflows.argoproj.io/node-name"].rsplit(".", 1)[
                -1
            ]: pod
            for pod in json.loads(listed)["items"]
            if not _is_executor(pod)
        }
        executors = {
            pod["metadata"]["annotations"]["workflows.argoproj.io/node-name"].split(".")[-2]: pod
            for pod in json.loads(listed)["items"]
            if _is_executor(pod)
        }
        return [
            self._step(name, pods[f"{name}-driver"], executor)
            for name, executor in sorted(executors.items(), key=lambda item: _created(item[1]))
        ]

    def _step(self, name: str, driver: dict[str, Any], executor: dict[str, Any]) -> Step:
        log = self._kubectl("logs", executor["metadata"]["name"], "-c", "main", "--timestamps")
        lines = log.splitlines()
        first, last = _stamp(lines[0]), _stamp(lines[-1])
        python = [_stamp(line) for line in lines if _PYTHON_STARTS in line or _PYTHON_ENDS in line]
        # Lines of a container that has just ended are sometimes lost: its figure is not known then.
        own = python[-1] - python[0] if len(python) > 1 else math.nan
        return Step(
            name=name,
            driver=_ended(driver) - _created(driver),
            hand_off=_created(executor) - _ended(driver),
            start=first - _created(executor),
            launcher=last - first - own,
            python=own,
            end=max(0.0, _ended(executor) - last),
        )

    def _stats(self) -> dict[str, Any]:
        node = self._kubectl("get", "nodes", "-o", "name").strip().removeprefix("node/")
        summary = self._kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary")
        return {
            pod["podRef"]["name"]: pod
            for pod in json.loads(summary)["pods"]
            if pod["podRef"]["namespace"] == NAMESPACE and "usageCoreNanoSeconds" in pod["cpu"]
        }

    def _kubectl(self, *arguments: str) -> str:
        with tempfile.NamedTemporaryFile("w") as kubeconfig:
            kubeconfig.write(self._kubeconfig)
            kubeconfig.flush()
            return subprocess.run(
                [
                    *(layout.bin_dir() / "kubectl", "--kubeconfig", kubeconfig.name),
                    *("-n", NAMESPACE, *arguments),
                ],
                check=True,
                capture_output=True,
                text=True,
            ).stdout


def measure(
    outputs: Callable[[], dict[str, Any]], run: Callable[[str], float], row: Callable[..., None]
) -> None:
    """Print the figures.

    Args:
        outputs: reads the stack's outputs.
        run: starts a run on these months and follows it; returns its seconds.
        row: takes a figure, its target and what was measured.
    """
    kubeflow = Kubeflow(outputs())
    row("API server healthy after Ready", "≤ 15 s", f"{kubeflow.healthy_after_ready():.0f} s")
    first = outputs()["pipeline_run"]
    row("pipeline run in `make up`", "≤ 75 s", f"{outputs()['pipeline_seconds']:.0f} s")
    steps = kubeflow.steps(first)
    again = run("1-3")
    row("pipeline run, same again, against the champion that the first made", "", f"{again:.1f} s")
    row("pipeline run, every step reused", "≤ 25 s", f"{run('1-3'):.1f} s")
    time.sleep(IDLE_SECONDS)
    memory, cpu = kubeflow.idle()
    row("Kubeflow's Pods idle, memory", "≤ 350 MiB", f"{memory:.0f} MiB")
    row("Kubeflow's Pods idle, CPU", "≤ 3 % of one core", f"{cpu:.1f} %")
    for step in steps:
        parts = (
            f"driver {step.driver:.0f}, hand-off {step.hand_off:.0f}, start {step.start:.1f}, "
            f"launcher {step.launcher:.1f}, end {step.end:.1f}; Python {step.python:.1f}"
        )
        row(f"step {step.name}: not its Python", "≤ 8 s", f"{step.overhead:.1f} s ({parts})")


def _is_executor(pod: dict[str, Any]) -> bool:
    name = pod["metadata"]["annotations"]["workflows.argoproj.io/node-name"]
    return re.search(r"\.executor(\(\d+\))?$", name) is not None


def _created(pod: dict[str, Any]) -> float:
    return _time(pod["metadata"]["creationTimestamp"])


def _ended(pod: dict[str, Any]) -> float:
    return max(
        _time(container["state"]["terminated"]["finishedAt"])
        for container in pod["status"]["containerStatuses"]
    )


def _became(found: dict[str, Any], condition: str) -> float:
    return next(
        _time(entry["lastTransitionTime"])
        for entry in found["status"]["conditions"]
        if entry["type"] == condition
    )


def _stamp(line: str) -> float:
    return _time(line.split(" ", 1)[0])


def _time(text: str) -> float:
    # Nanoseconds are more digits than Python reads.
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z$", r"\1Z", text)).timestamp()
