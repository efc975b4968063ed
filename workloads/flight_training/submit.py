"""A job in the cluster, from its manifest to its end."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from flight_training.errors import TrainingError
from flight_training.job import FRAMEWORKS
from flight_training.pod_logs import PodLogs

_LOG_LINES: Final = 20
# Pods of a job that has ended are given this long to end too.
_LAST_WORDS_SECONDS: Final = 10
_ENDS: Final = {"Succeeded", "Failed"}


def start(cluster: PodLogs, job: Mapping[str, Any]) -> None:
    """Create a job, unless it is there: a step that is tried again goes on with its own.

    One that failed is made anew.

    Raises:
        ServingError: the cluster refuses it.
    """
    kind, name = job["kind"], job["metadata"]["name"]
    there = cluster.get(kind, name)
    if there and "Failed" in _ended(there[0].get("status") or {}):
        cluster.run("delete", kind, name)
        there = []
    if not there:
        cluster.write("create", job)


def follow(cluster: PodLogs, job: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Show Pods, and the first worker's lines, until the job has ended.

    Args:
        cluster: the job's namespace, entered.
        job: the manifest.
        say: takes each line.

    Raises:
        TrainingError: the job failed, takes too long, or is not there.
        ServingError: the cluster does not answer.
    """
    kind, name = job["kind"], job["metadata"]["name"]
    first = f"{name}-{_first_replica(kind).lower()}-0"
    seconds = job["spec"]["runPolicy"]["activeDeadlineSeconds"]
    end, shown, phases = time.monotonic() + seconds, 0, ""
    while time.monotonic() < end:
        pods, status = _pods(cluster, name), _status(cluster, kind, name)
        if (now := ", ".join(f"{pod} {phase}" for pod, phase in pods.items())) != phases:
            phases = now
            say(now)
        for pod, phase in pods.items():
            if phase != "Pending":
                cluster.follow(pod)
        ended = _ended(status)
        if ended:
            cluster.wait(_LAST_WORDS_SECONDS)
        lines = cluster.lines(first)
        for line in lines[shown:]:
            say(f"  {line}")
        shown = len(lines)
        if "Succeeded" in ended:
            return
        if ended:
            raise TrainingError(_failure(cluster, name, status))
        time.sleep(1)
    raise TrainingError(f"{kind} {name} did not end within {seconds} s")


def _first_replica(kind: str) -> str:
    (found,) = [each.first for each in FRAMEWORKS.values() if each.kind == kind]
    return found


def _pods(cluster: PodLogs, job: str) -> dict[str, str]:
    found = cluster.get("pods", f"--selector=training.kubeflow.org/job-name={job}")
    return {pod["metadata"]["name"]: pod["status"].get("phase", "Pending") for pod in found}


def _status(cluster: PodLogs, kind: str, name: str) -> dict[str, Any]:
    found = cluster.get(kind, name)
    if not found:
        raise TrainingError(f"{kind} {name} was deleted by somebody else")
    return dict(found[0].get("status") or {})


def _ended(status: Mapping[str, Any]) -> set[str]:
    return _ENDS & {
        each["type"] for each in status.get("conditions", []) if each["status"] == "True"
    }


def _failure(cluster: PodLogs, name: str, status: Mapping[str, Any]) -> str:
    reasons = [each.get("message", "") for each in status["conditions"] if each["type"] == "Failed"]
    parts = [f"{name} failed: {' '.join(reasons)}"]
    for pod in cluster.pods:
        last = cluster.lines(pod)[-_LOG_LINES:]
        parts += [f"  last lines of {pod}:", *(f"    {line}" for line in last)]
    return "\n".join(parts)
