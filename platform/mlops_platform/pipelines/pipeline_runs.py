"""Following a pipeline's run: its steps with their times, and why it failed."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from mlops_platform.pipelines.pipelines_api import PipelinesApi, PipelinesApiError
from mlops_platform.pipelines.step_logs import StepLogs

_POLL_SECONDS = 0.5
_TIMEOUT_SECONDS = 1800
_AT_ONCE_SECONDS = 2
# Kubeflow notes a run's end before those of its last steps.
_SETTLE_SECONDS = 5
_ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"})
# States of a step that ended, with the sign to show it by.
_SIGNS: Final[Mapping[str, str]] = {
    "SUCCEEDED": "✓",
    "CACHED": "↺",
    "SKIPPED": "-",
    "OMITTED": "-",
    "FAILED": "✗",
    "ERROR": "✗",
    "CANCELED": "✗",
}


class RunFailedError(Exception):
    """A run did not succeed; the message names the step and shows its last lines."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a run that has begun.

    Attributes:
        name: the task's name in the pipeline.
        state: the API's word, such as RUNNING or SUCCEEDED.
        seconds: from its start to its end, or to now.
    """

    name: str
    state: str
    seconds: float


def run_to_end(
    api: PipelinesApi,
    *,
    name: str,
    experiment: str,
    pipeline: str,
    version: str,
    parameters: Mapping[str, Any],
    logs: StepLogs,
    say: Callable[[str], None],
    resume: bool = False,
    begun: Callable[[str, bool], None] = lambda _run, _resumed: None,
) -> str:
    """Start a run and follow it to its end; return its id.

    Args:
        api: where to run.
        name: the run's name.
        experiment: name of the experiment, created if need be.
        pipeline: id of the pipeline.
        version: id of its version.
        parameters: those of the pipeline, checked.
        logs: reads what a failed step has printed.
        say: told each step as it starts and ends.
        resume: follow a run of the same version and parameters that goes on, if there is one.
        begun: told the run's id, and whether it went on already.

    Raises:
        RunFailedError: see `follow`.
    """
    going_on = api.unfinished_run(version, parameters) if resume else None
    run = going_on or api.create_run(
        name=name,
        experiment=api.experiment(experiment),
        pipeline=pipeline,
        version=version,
        parameters=parameters,
    )
    begun(run, going_on is not None)
    names = api.step_names(pipeline, version)
    follow(api, run, names, logs=logs, timeout=_TIMEOUT_SECONDS, say=say)
    return run


def steps(run: Mapping[str, Any], names: Collection[str]) -> list[Step]:
    """Return the steps of a run in the order of their start, without Kubeflow's own tasks.

    Args:
        run: the API's answer.
        names: the pipeline's own tasks.
    """
    tasks = (run.get("run_details") or {}).get("task_details") or []
    skipped = [
        _time(task["start_time"])
        for task in tasks
        if task.get("display_name") == "executor" and task.get("state") == "SKIPPED"
    ]
    return [
        Step(
            name=task["display_name"],
            state="CACHED" if _is_reused(task, skipped) else task.get("state", "PENDING"),
            seconds=_seconds(task),
        )
        for task in sorted(tasks, key=lambda task: str(task.get("start_time")))
        if task.get("display_name") in names and task.get("start_time")
    ]


def follow(
    api: PipelinesApi,
    run: str,
    names: Collection[str],
    *,
    logs: StepLogs,
    timeout: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Wait until a run has ended; return the API's answer.

    Args:
        api: where it runs.
        run: its id.
        names: the pipeline's own tasks.
        logs: reads what a failed step has printed.
        timeout: seconds after which to give up; the run goes on.
        say: told each step as it starts and ends.

    Raises:
        RunFailedError: it failed, was cancelled, vanished, or takes longer.
    """
    began = time.monotonic()
    ended = 0.0
    shown: dict[str, str] = {}
    unanswered: PipelinesApiError | None = None
    while True:
        if time.monotonic() - began > timeout:
            reason = f": {unanswered}" if unanswered else ""
            raise RunFailedError(f"run {run} has not ended after {timeout:.0f} s{reason}")
        try:
            found = api.run(run)
        except PipelinesApiError as error:
            # The API server or its database restarts; the run goes on without them.
            unanswered = error
            time.sleep(_POLL_SECONDS)
            continue
        unanswered = None
        if found is None:
            raise RunFailedError(f"run {run} is gone: somebody deleted it while it was followed")
        for line in _news(found, names, shown):
            say(line)
        if found.get("state") in _ENDED:
            ended = ended or time.monotonic()
            if "started" not in shown.values() or time.monotonic() - ended > _SETTLE_SECONDS:
                break
        time.sleep(_POLL_SECONDS)
    if found["state"] != "SUCCEEDED":
        raise RunFailedError(failure(found, names, logs))
    return found


def failure(run: Mapping[str, Any], names: Collection[str], logs: StepLogs) -> str:
    """Return why a run failed: each failed step with the last lines of its log."""
    state = str(run["state"]).lower()
    lines = [f"run {run['display_name']} {state}"]
    if message := (run.get("error") or {}).get("message"):
        lines.append(str(message))
    for step in steps(run, names):
        if _SIGNS.get(step.state) != "✗":
            continue
        lines.append(f"step {step.name} {step.state.lower()} after {step.seconds:.0f} s")
        kept = logs(str(run["run_id"]), step.name)
        lines += [f"  | {line}" for line in kept] or ["  its pod is gone, and the log with it"]
    return "\n".join(lines)


def _news(run: Mapping[str, Any], names: Collection[str], shown: dict[str, str]) -> Iterator[str]:
    for step in steps(run, names):
        sign = _SIGNS.get(step.state)
        told = shown.get(step.name)
        if sign and told != step.state:
            shown[step.name] = step.state
            word = "reused" if step.state == "CACHED" else f"{step.seconds:.0f} s"
            yield f"{sign} {step.name} ({word})"
        elif not sign and told is None:
            shown[step.name] = "started"
            yield f"• {step.name}"


def _is_reused(task: Mapping[str, Any], skipped: Collection[datetime]) -> bool:
    """Return whether a step succeeded at once, with an executor that was skipped as it started.

    Times are whole seconds, so that one may fall into the second after the other.
    """
    start = _time(task["start_time"])
    return (
        task.get("state") == "SUCCEEDED"
        and (_time(task["end_time"]) - start).total_seconds() <= _AT_ONCE_SECONDS
        and any(0 <= (moment - start).total_seconds() <= 1 for moment in skipped)
    )


def _seconds(task: Mapping[str, Any]) -> float:
    start = _time(task["start_time"])
    # A running task's end is year 1 or absent.
    end = _time(task["end_time"]) if task.get("end_time") else start
    now = datetime.now(start.tzinfo)
    return (end if end > start else now).timestamp() - start.timestamp()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
