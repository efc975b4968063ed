"""`make down` of a stack on AWS: an interrupted destroy, a cluster that vanished first.

The stack's infra layer is really up, by the engine, in a moto server; a control plane without
nodes plays EKS's.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_toolchain import layout
from tests.conformance.aws_stack import NEEDS_PROGRAMS, AwsStack, configured_stack

pytestmark = NEEDS_PROGRAMS


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[AwsStack]:
    with configured_stack(tmp_path) as stack:
        yield stack


def test_an_interrupted_destroy_is_finished_by_the_next(stack: AwsStack) -> None:
    stack.up()
    state = layout.checkout() / f".state/pulumi/.pulumi/stacks/mlops-platform/{stack.name}.json"
    before = _resources(state)
    first = subprocess.Popen(
        stack.command("down"),
        env=stack.environ,
        cwd=layout.checkout(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while _resources(state) > before - 20 and time.monotonic() < end:
        time.sleep(0.05)
    # The engine with all of its plugins, with no time to write anything. Each plugin is in a group
    # of its own.
    killed = _session(first.pid)
    for process in killed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    first.wait()
    _wait_until_ended(killed)
    assert 0 < _resources(state) <= before - 20
    second = stack.run("down")
    assert second.returncode == 0, second.stdout
    assert "leftovers: 0 " in second.stdout
    assert not _session(first.pid)


def test_a_cluster_that_vanished_first_does_not_hold_up_the_rest(stack: AwsStack) -> None:
    stack.up()
    eks = stack.client("eks")
    cluster = f"mlops-{stack.name}"
    for group in eks.list_nodegroups(clusterName=cluster)["nodegroups"]:
        eks.delete_nodegroup(clusterName=cluster, nodegroupName=group)
    eks.delete_cluster(name=cluster)
    for name in ("kube-controller-manager", "kube-apiserver"):
        stack.plane.stop(name)
    down = stack.run("down")
    assert down.returncode == 0, down.stdout
    assert "the EKS cluster does not exist" in down.stdout
    assert "leftovers: 0 " in down.stdout


def _session(leader: int) -> list[int]:
    """Return the processes of a session, the leader first."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # pid (name) state parent group session: a name may hold anything.
            if int(stat.read_text().rpartition(")")[2].split()[3]) == leader:
                found.append(int(stat.parent.name))
    return sorted(found, key=lambda process: process != leader)


def _wait_until_ended(processes: list[int]) -> None:
    """Wait for killed processes: one with much memory takes a moment to give it back."""
    end = time.monotonic() + 30
    while any(_state(process) not in ("", "Z", "X") for process in processes):
        assert time.monotonic() < end
        time.sleep(0.05)


def _state(process: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    return ""


def _resources(state: Path) -> int:
    try:
        return len(json.loads(state.read_text())["checkpoint"]["latest"]["resources"])
    except (OSError, ValueError, KeyError):
        return sys.maxsize  # it is being written
