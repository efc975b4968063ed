"""A stack at rest: no schedule starts a run, and none goes on, while its data is taken."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mlops_stack import environment, report
from mlops_stack.backup.errors import KeepError
from mlops_stack.backup.pods import Pods, of_cluster

_NAMESPACE = "kubeflow"
# The controller alone starts the runs of schedules. Without it each stays as it is, enabled or
# not; switched off one by one, none would tell which of them had been on.
_CONTROLLER = "ml-pipeline-scheduledworkflow"
# Kubeflow sets it when the run's end is in its database.
_UNFINISHED = "pipeline/persistedFinalState!=true"
_RUN_NAME = "pipelines.kubeflow.org/run_name"
_ENDED = frozenset({"Succeeded", "Failed"})
_WAIT_SECONDS = 600
_POLL_SECONDS = 3
_TELL_SECONDS = 15
_SHOWN = 5


def suspend(stack: str, pods: Pods) -> None:
    """Let no schedule start a run until `resume`.

    Raises:
        KeepError: the cluster does not do it.
    """
    if not pods.get("scheduledworkflows.kubeflow.org", f"--namespace={_NAMESPACE}"):
        return
    # Before the change: whoever ends this process leaves a word for the next `make up`.
    mark = _mark(stack)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    _scale(pods, 0)
    # It may be in the middle of starting a run; waiting tells that it no longer is.
    pods.run(
        "Kubeflow's controller of schedules",
        *("delete", "pod", f"--namespace={_NAMESPACE}", f"--selector=app={_CONTROLLER}"),
        *("--grace-period=1", "--ignore-not-found", "--wait=true"),
    )
    report.plain("  schedules are suspended")


def resume(stack: str, pods: Pods) -> None:
    """Let schedules start runs again, if `suspend` has kept them from it.

    Raises:
        KeepError: the cluster does not do it.
    """
    if _mark(stack).exists():
        _scale(pods, 1)
        _mark(stack).unlink(missing_ok=True)
        report.plain("  schedules go on")


def resume_after_a_kill(stack: str, kubeconfig: str) -> None:
    """Resume what a command that was killed has left suspended.

    Raises:
        KeepError: the cluster does not do it.
    """
    if _mark(stack).exists():
        with of_cluster(kubeconfig) as pods:
            resume(stack, pods)


def forget(stack: str) -> None:
    """Drop the word of `suspend`: the stack is destroyed."""
    _mark(stack).unlink(missing_ok=True)


@contextlib.contextmanager
def suspended(stack: str, pods: Pods, *, afterwards: bool) -> Iterator[None]:
    """Keep schedules from starting runs while the block runs; they go on if it fails.

    Args:
        stack: the stack's name.
        pods: its cluster.
        afterwards: whether they also go on if it does not fail.

    Raises:
        KeepError: the cluster does not do it.
    """
    try:
        suspend(stack, pods)
        yield
    except BaseException:
        _resume_or_say(stack, pods)
        raise
    if afterwards:
        resume(stack, pods)


def wait_for_runs(
    pods: Pods, *, training: str = "", seconds: float = _WAIT_SECONDS, poll: float = _POLL_SECONDS
) -> None:
    """Wait until no run and no training job goes on, and say so from time to time.

    Args:
        pods: the stack's cluster.
        training: namespace of training jobs; empty for none.
        seconds: the longest that it waits.
        poll: time between two looks.

    Raises:
        KeepError: one goes on for longer, or the cluster does not tell.
    """
    _until(lambda: unfinished(pods, training=training), seconds, poll)


def unfinished(pods: Pods, *, training: str = "") -> list[str]:
    """Return the names of the runs and training jobs that go on.

    Raises:
        KeepError: the cluster does not tell.
    """
    runs = pods.get(
        *("workflows.argoproj.io", f"--namespace={_NAMESPACE}", f"--selector={_UNFINISHED}")
    )
    names = [
        f"run {(run['metadata'].get('annotations') or {}).get(_RUN_NAME, run['metadata']['name'])}"
        for run in runs
    ]
    if training:
        jobs = pods.get("tfjobs.kubeflow.org,pytorchjobs.kubeflow.org", f"--namespace={training}")
        names += [
            f"{job['kind']} {job['metadata']['name']}"
            for job in jobs
            if not any(
                found["type"] in _ENDED and found["status"] == "True"
                for found in (job.get("status") or {}).get("conditions") or []
            )
        ]
    return names


def _until(going_on: Callable[[], list[str]], seconds: float, poll: float) -> None:
    names = going_on()
    began = told = time.monotonic()
    while names:
        shown = ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
        now = time.monotonic()
        if now - began >= seconds:
            after = f" after {seconds / 60:.0f} min" if seconds else ""
            raise KeepError(
                f"{len(names)} not finished{after}: {shown}; wait for them, or end them on "
                "Kubeflow's page, then run this again"
            )
        if told == began or now - told >= _TELL_SECONDS:
            report.plain(f"  waiting for {len(names)} to finish: {shown}")
            told = now
        time.sleep(poll)
        names = going_on()


def _scale(pods: Pods, replicas: int) -> None:
    pods.run(
        "Kubeflow's controller of schedules",
        *("scale", f"--namespace={_NAMESPACE}", f"deployment/{_CONTROLLER}"),
        f"--replicas={replicas}",
    )


def _resume_or_say(stack: str, pods: Pods) -> None:
    try:
        resume(stack, pods)
    except KeepError as error:
        report.error(f"schedules are still suspended ({error}); `make up` lets them go on")


def _mark(stack: str) -> Path:
    return environment.state_dir() / "suspended" / stack
