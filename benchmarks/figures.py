"""Prints the figures of docs/figures.md as a Markdown table: `make bench`.

Caches are warm: the toolchain is built. Everything runs once, in one process, on a stack and a
cluster of its own that are gone at the end. Compare figures of one run with each other.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import kubeflow

from mlops_infra.node import cluster
from mlops_infra.node.spec import NodeSpec
from mlops_stack.pulumi_cli import Stack

CHECKOUT = Path(__file__).resolve().parents[1]
STACK = "bench"
NODE = "bench-node"
IDLE_SECONDS = 30
SETTLE_SECONDS = 30


def main() -> None:
    rows: list[tuple[str, str, str]] = []

    def row(figure: str, target: str, measured: str) -> None:
        rows.append((figure, target, measured))
        print(f"| {figure} | {target} | {measured} |", flush=True)

    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start\n")
    print("| figure | target | measured |\n|---|---|---|")
    create = _seconds(lambda: cluster.create(NodeSpec(name=NODE)))
    try:
        row("cluster create to node Ready", "≤ 12 s", f"{create:.1f} s")
        time.sleep(SETTLE_SECONDS)
        memory, cpu = _idle(NODE)
        row("control plane idle, memory", "≤ 1.2 GiB", f"{memory:.2f} GiB")
        row("control plane idle, CPU", "≤ 15 % of one core", f"{cpu:.1f} %")
    finally:
        row("cluster delete", "", f"{_seconds(lambda: cluster.delete(NODE)):.1f} s")
    with _stack():
        row("`make up` from nothing", "≤ 150 s", f"{_make('up'):.1f} s")
        kubeflow.measure(Stack(STACK).outputs, lambda months: _make("run", f"MONTHS={months}"), row)
        row("`make up` unchanged", "≤ 15 s", f"{_make('up'):.1f} s")
        row("`make preview` unchanged", "≤ 8 s", f"{_make('preview'):.1f} s")
        row("`make toolchain` with nothing to do", "< 2 s", f"{_make('toolchain'):.1f} s")
        row("`make down`", "≤ 10 s", f"{_make('down'):.1f} s")
    host = _python("import mlops_language_host.host")
    sdk = _python("import pulumi")
    row("language host's start / `import pulumi`", "", f"{host / sdk:.2f}")


@contextmanager
def _stack() -> Iterator[None]:
    file = CHECKOUT / f"Pulumi.{STACK}.yaml"
    file.write_text("config:\n  mlops-platform:ephemeral: true\n")
    try:
        yield
    finally:
        _make("down")
        file.unlink()


def _seconds(action: Callable[[], object]) -> float:
    start = time.monotonic()
    action()
    return time.monotonic() - start


def _run(command: list[str]) -> None:
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")


def _make(target: str, *variables: str) -> float:
    return _seconds(lambda: _run(["make", target, f"STACK={STACK}", *variables]))


def _python(code: str) -> float:
    return min(_seconds(lambda: _run([sys.executable, "-c", code])) for _ in range(5))


def _idle(name: str) -> tuple[float, float]:
    """Return GiB (proportional share) and per cent of one core of a cluster's processes."""
    before = _ticks(name)
    time.sleep(IDLE_SECONDS)
    spent = sum(after - before.get(pid, 0) for pid, after in _ticks(name).items())
    memory = sum(_proportional_bytes(pid) for pid in before)
    return memory / 2**30, 100 * spent / os.sysconf("SC_CLK_TCK") / IDLE_SECONDS


def _ticks(name: str) -> dict[str, int]:
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if f"mlops-{name}/" in (entry / "cgroup").read_text():
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                found[entry.name] = int(fields[11]) + int(fields[12])
        except OSError:
            continue  # it has just ended
    return found


def _proportional_bytes(pid: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
