import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mlops_infra.node import supervisor


def program(tmp_path: Path, argv: list[str], **more: Any) -> supervisor.Program:
    return supervisor.Program(
        {
            "name": "trial",
            "argv": argv,
            "env": {"PATH": "/usr/bin:/bin"},
            "requires": [],
            "log": str(tmp_path / "trial.log"),
        }
        | more
    )


def wait_for(one: supervisor.Program) -> None:
    _, status = os.waitpid(one.pid, 0)
    one.ended(time.monotonic(), status)


def test_output_is_appended_to_the_log(tmp_path: Path) -> None:
    one = program(tmp_path, ["/bin/sh", "-c", "echo out; echo err >&2"])
    for _ in range(2):
        one.start(time.monotonic())
        wait_for(one)
    assert one.log.read_text() == "out\nerr\n" * 2


def test_it_waits_for_what_it_requires(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    one = program(tmp_path, ["/bin/true"], requires=[str(gate)])
    assert not one.due(time.monotonic())
    gate.touch()
    assert one.due(time.monotonic())


def test_a_program_that_keeps_failing_is_started_ever_more_seldom(tmp_path: Path) -> None:
    one = program(tmp_path, ["/bin/false"])
    delays = []
    now = 100.0
    for _ in range(9):
        one.started = now
        one.pid = 1
        one.ended(now + 1, 256)
        delays.append(one.next_start - now - 1)
        assert not one.due(now + 1)
        assert one.due(one.next_start)
    assert delays[0] == pytest.approx(supervisor.FIRST_DELAY)
    assert delays == sorted(delays)
    assert delays[-1] == pytest.approx(supervisor.LONGEST_DELAY)
    # One that ran well for a while is trusted again
    one.started = now
    one.ended(now + supervisor.STEADY_SECONDS + 1, 0)
    later = now + supervisor.STEADY_SECONDS + 1
    assert one.next_start - later == pytest.approx(supervisor.FIRST_DELAY)


def test_a_child_does_not_inherit_blocked_signals(tmp_path: Path) -> None:
    script = "import signal; print(len(signal.pthread_sigmask(signal.SIG_BLOCK, ())))"
    one = program(tmp_path, [sys.executable, "-c", script])
    before = signal.pthread_sigmask(signal.SIG_BLOCK, supervisor.WATCHED)
    try:
        one.start(time.monotonic())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    wait_for(one)
    assert one.log.read_text() == "0\n"


def test_a_log_is_bounded_while_its_program_goes_on_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LOG_LIMIT", 100)
    go_on = tmp_path / "go-on"
    script = f"printf '%200s' first; while [ ! -e {go_on} ]; do sleep 0.02; done; echo second"
    one = program(tmp_path, ["/bin/sh", "-c", script])
    supervisor.bound_log(one.log)
    one.start(time.monotonic())
    deadline = time.monotonic() + 10
    while not one.log.exists() or one.log.stat().st_size < 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    supervisor.bound_log(one.log)
    go_on.touch()
    wait_for(one)
    assert one.log.read_text() == "second\n"
    assert one.log.with_suffix(".log.1").read_text().strip() == "first"


def test_the_supervisors_own_log_is_bounded_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LOG_LIMIT", 100)
    own = tmp_path / "supervisor.log"
    own.write_text("x" * 200)
    one = program(tmp_path, ["/bin/true"])
    before = signal.pthread_sigmask(signal.SIG_BLOCK, supervisor.WATCHED)
    monkeypatch.setattr(supervisor, "shut_down", lambda _: None)
    try:
        # To this thread alone: another one of the test run's would end the process.
        signal.raise_signal(signal.SIGTERM)
        supervisor.supervise([one], own)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.waitpid(one.pid, 0)
    assert own.read_text() == ""
    assert own.with_suffix(".log.1").stat().st_size == 200


def test_it_refuses_to_run_as_anything_but_the_first_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.json"
    config.write_text("{}")
    assert supervisor.main("node", str(config)) != 0
    assert "first process" in capsys.readouterr().err


def test_it_needs_nothing_but_the_standard_library() -> None:
    source = Path(str(supervisor.__file__)).read_text().splitlines()
    imports = {
        line.split()[1].partition(".")[0] for line in source if line.startswith(("import", "from"))
    }
    assert imports <= sys.stdlib_module_names
