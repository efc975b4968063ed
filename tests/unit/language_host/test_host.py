"""The language host, alone and over gRPC."""

import itertools
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from mlops_language_host import host
from mlops_language_host.interpreter import InterpreterNotFoundError, interpreter


def _info(folder: Path, **options: str) -> language_pb2.ProgramInfo:
    info = language_pb2.ProgramInfo(
        root_directory=str(folder), program_directory=str(folder), entry_point="."
    )
    info.options.update(options)
    return info


def test_the_projects_environment_runs_its_program(tmp_path: Path) -> None:
    python = tmp_path / "venv/bin/python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert interpreter(str(tmp_path), {"virtualenv": "venv"}) == str(python)
    assert interpreter(str(tmp_path), {}) == sys.executable


def test_a_missing_environment_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InterpreterNotFoundError, match="uv sync --locked"):
        interpreter(str(tmp_path), {"toolchain": "uv"})


def test_the_sdk_is_not_imported_for_its_stubs() -> None:
    code = "import mlops_language_host.host, sys; print('pulumi.output' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


def test_a_program_gets_stack_and_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_PYTHON_EXEC", "/runner")
    request = language_pb2.RunRequest(
        project="p", stack="s", parallel=4, dryRun=True, monitor_address="m", info=_info(tmp_path),
        config={"p:key": "value"},
    )  # fmt: skip
    command = host.program_command(request, "engine")
    pairs = dict(itertools.pairwise(command))
    assert command[:3] == [sys.executable, "-u", "/runner"]
    assert (pairs["--stack"], pairs["--dry_run"], pairs["--engine"]) == ("s", "true", "engine")
    assert host.program_environment(request, {})["PULUMI_CONFIG"] == '{"p:key": "value"}'


@pytest.fixture
def running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[language_pb2_grpc.LanguageRuntimeStub]:
    """A host process whose programs end with the exit code that their first argument names."""
    runner = tmp_path / "runner.py"
    runner.write_text("import sys; sys.exit(int(sys.argv[-1]))")
    monkeypatch.setenv("PULUMI_PYTHON_EXEC", str(runner))
    process = subprocess.Popen(
        [sys.executable, "-m", "mlops_language_host", "-root=x"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield language_pb2_grpc.LanguageRuntimeStub(channel)
    process.terminate()
    assert process.wait(timeout=10) == 0


@pytest.mark.parametrize(
    ("code", "error", "bail"), [(0, "", False), (1, "exited with code 1", False), (32, "", True)]
)
def test_the_programs_exit_is_the_answer(
    running: language_pb2_grpc.LanguageRuntimeStub,
    tmp_path: Path,
    code: int,
    error: str,
    bail: bool,
) -> None:
    request = language_pb2.RunRequest(info=_info(tmp_path), args=[str(code)], parallel=1)
    answer = running.Run(request, timeout=20)
    assert error in answer.error
    assert bool(answer.error) is bool(error)
    assert answer.bail is bail


def test_it_answers_what_the_engine_asks_at_the_start(
    running: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path
) -> None:
    running.Handshake(language_pb2.LanguageHandshakeRequest(engine_address="e"), timeout=20)
    assert running.GetPluginInfo(empty_pb2.Empty(), timeout=20).version.startswith("3.")
    about = running.About(language_pb2.AboutRequest(info=_info(tmp_path)), timeout=20)
    assert about.executable == sys.executable


def test_a_plugins_output_is_streamed(
    running: language_pb2_grpc.LanguageRuntimeStub, tmp_path: Path
) -> None:
    # pulumi.run.plugin refuses an empty folder with a message on stderr and an exit code.
    request = language_pb2.RunPluginRequest(
        kind="resource", info=_info(tmp_path), pwd=str(tmp_path), env=["PATH=/usr/bin"]
    )
    answers = list(running.RunPlugin(request, timeout=30))
    assert answers[-1].exitcode != 0
    assert b"".join(answer.stderr for answer in answers)


def test_programs_and_plugins_end_with_a_killed_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed engine tells nobody; its host and what runs for it went on for good."""
    runner = tmp_path / "runner.py"
    runner.write_text(f"open({str(tmp_path / 'program')!r}, 'w'); import time; time.sleep(120)")
    monkeypatch.setenv("PULUMI_PYTHON_EXEC", str(runner))
    (tmp_path / "idle_plugin").mkdir()
    (tmp_path / "idle_plugin/__init__.py").touch()
    (tmp_path / "idle_plugin/__main__.py").write_text(
        f"open({str(tmp_path / 'served')!r}, 'w'); import time; time.sleep(120)"
    )
    with socket.create_server(("127.0.0.1", 0)) as engine:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlops_language_host", f"127.0.0.1:{engine.getsockname()[1]}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = language_pb2_grpc.LanguageRuntimeStub(channel)
            ended = stub.Run.future(language_pb2.RunRequest(info=_info(tmp_path), parallel=1))
            streamed = stub.RunPlugin(
                language_pb2.RunPluginRequest(
                    kind="resource",
                    info=_info(Path("idle_plugin")),
                    pwd=str(tmp_path),
                    env=[f"PYTHONPATH={tmp_path}"],
                )
            )
            started = (tmp_path / "program", tmp_path / "served")
            deadline = time.monotonic() + 30
            while not all(path.exists() for path in started):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            children = _children(process.pid)
            assert len(children) == len(started)
            engine.close()
            assert process.wait(timeout=30) == 0
            ended.cancel()
            streamed.cancel()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _children(parent: int) -> list[str]:
    return Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
