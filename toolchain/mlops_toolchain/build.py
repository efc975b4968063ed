"""Builds one artefact: lock, temporary folder, recipe, record, rename."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_toolchain import layout
from mlops_toolchain.artefact import Artefact
from mlops_toolchain.artefacts import BY_NAME
from mlops_toolchain.errors import ToolchainError, likely_cause
from mlops_toolchain.folders import remove
from mlops_toolchain.keys import result
from mlops_toolchain.shared_cache.opening import VARIABLE

RECORD = "toolchain.json"
"""Name of the file in a result that says how it was made."""

_LOG_LINES_SHOWN = 15
_SECONDS_TO_END = 10


class Processes:
    """The commands that builds run now, so that an interruption ends them all."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self.stopping = False

    def run(self, command: list[str], **options: Any) -> int:
        """Run a command in a process group of its own; return its exit code."""
        with self._lock:
            if self.stopping:
                return -signal.SIGTERM
            process = subprocess.Popen(command, start_new_session=True, **options)
            self._running.add(process)
        try:
            return process.wait()
        finally:
            with self._lock:
                self._running.discard(process)

    def stop(self) -> None:
        """End every running command, by force after 10 s, and refuse new ones."""
        with self._lock:
            self.stopping = True
            running = list(self._running)
            self._signal(running, signal.SIGTERM)
        deadline = time.monotonic() + _SECONDS_TO_END
        for process in running:
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._signal([process], signal.SIGKILL)

    @staticmethod
    def _signal(processes: list[subprocess.Popen[bytes]], number: signal.Signals) -> None:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)


class BuildContext:
    """What a recipe sees; implements `artefact.Context`."""

    def __init__(self, artefact: Artefact, output: Path, processes: Processes) -> None:
        self.output = output
        self.cache = layout.cache()
        self.log = layout.cache() / "logs" / f"{artefact.name}.log"
        self._artefact = artefact
        self._processes = processes

    def need(self, name: str) -> Path:
        """Return the result folder of an artefact that this one needs."""
        return result(BY_NAME[name])

    def run(
        self, *command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> None:
        """Run a command with its output in the artefact's log."""
        words = [str(word) for word in command]
        with self.log.open("ab") as log:
            log.write(f"$ {' '.join(words)}\n".encode())
            log.flush()
            try:
                code = self._processes.run(
                    words,
                    cwd=cwd or self.output,
                    env={**_environment(), **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            except FileNotFoundError as error:
                raise ToolchainError(f"{words[0]} is not installed: {error}") from error
        if code:
            raise ToolchainError(self._failure(words[0], code))

    def _failure(self, program: str, code: int) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
        cause = likely_cause("\n".join(lines))
        return "\n".join(
            [
                f"{self._artefact.name}: {Path(program).name} ended with exit code {code}",
                *([f"  {cause}"] if cause else []),
                *(f"  | {line}" for line in lines),
                f"  the whole log: {self.log}",
            ]
        )


def _environment() -> dict[str, str]:
    """Return this process's variables without keys: builds run what upstream's packages bring."""
    return {
        name: value
        for name, value in os.environ.items()
        if name != VARIABLE and not name.startswith("AWS_")
    }


def is_built(artefact: Artefact) -> bool:
    """Return whether the result is in the cache, and what it links to still exists."""
    folder = result(artefact)
    return (folder / RECORD).exists() and all(entry.exists() for entry in folder.iterdir())


def record(artefact: Artefact) -> dict[str, Any]:
    """Return what was noted when the result was made: seconds, bytes, origin, where from."""
    noted: dict[str, Any] = json.loads((result(artefact) / RECORD).read_text())
    return noted


def build(artefact: Artefact, processes: Processes, waiting: Callable[[], None]) -> None:
    """Make the result, unless another build does so meanwhile.

    Args:
        artefact: what to build; its needs are there.
        processes: where its commands run.
        waiting: called once if another build of the same artefact must end first.

    Raises:
        ToolchainError: it cannot be built; nothing partial is left.
    """
    try:
        _build(artefact, processes, waiting)
    except OSError as error:
        raise ToolchainError(
            f"{artefact.name}: {error}; {likely_cause(str(error)) or 'see the log'}"
        ) from error


def _build(artefact: Artefact, processes: Processes, waiting: Callable[[], None]) -> None:
    (layout.cache() / "logs").mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with new_result(artefact, waiting) as new:
        if new is None:
            return
        context = BuildContext(artefact, new.folder, processes)
        context.log.unlink(missing_ok=True)
        artefact.recipe.build(context)
        origin = new.folder / "origin"
        new.note = {
            "version": artefact.version,
            "origin": origin.read_text() if origin.exists() else artefact.recipe.kind,
            "seconds": round(time.monotonic() - start, 1),
            "bytes": sum(f.lstat().st_size for f in new.folder.rglob("*") if not f.is_dir()),
        }


@dataclass
class NewResult:
    """A result that is being made.

    Attributes:
        folder: what to fill.
        note: what `record` returns later.
    """

    folder: Path
    note: dict[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def new_result(artefact: Artefact, waiting: Callable[[], None]) -> Iterator[NewResult | None]:
    """Give an empty folder, and make it the result at once when it has been filled.

    Args:
        artefact: whose result.
        waiting: called once if another process must end first that makes the same.

    Yields:
        The folder, None if the result is there.
    """
    final = result(artefact)
    final.parent.mkdir(parents=True, exist_ok=True)
    with _locked(final.parent / ".lock", waiting):
        if is_built(artefact):
            yield None
            return
        for stale in final.parent.glob("building-*"):
            remove(stale)
        output = Path(tempfile.mkdtemp(prefix="building-", dir=final.parent))
        # Pods' users read some results; mkdtemp gives them to root alone.
        output.chmod(0o755)
        try:
            new = NewResult(output)
            yield new
            (output / RECORD).write_text(json.dumps(new.note))
            shutil.rmtree(final, ignore_errors=True)
            output.rename(final)
        finally:
            remove(output)


@contextlib.contextmanager
def _locked(file: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold an exclusive lock; the kernel releases it however the process ends."""
    with file.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
