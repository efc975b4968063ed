"""The first process of a node: mounts its root, keeps its programs running, reaps the dead.

Runs as a program of its own, on the standard library alone:

    supervisor.py host CONFIG   on the host: joins the cluster's cgroups, opens the namespaces
    supervisor.py node CONFIG   inside them, as process 1
    supervisor.py trial CONFIG  runs a command in a root like a node's, as process 1 (preflight)

Killing process 1 ends every process of the cluster, its mounts and its network. SIGTERM ends it in
order: the supervised programs first, the containers next.

CONFIG is the JSON that `mlops_infra.node.boot` writes.
"""

import ctypes
import errno
import json
import os
import shutil
import signal
import socket
import stat
import sys
import time
from pathlib import Path
from typing import Any

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 1, 32, 4096, 16384, 1 << 18, 1 << 20
MNT_DETACH = 2
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

LOG_LIMIT = 10 * 2**20
LOG_CHECK_SECONDS = 15.0
FIRST_DELAY, LONGEST_DELAY, STEADY_SECONDS = 0.2, 10.0, 30.0
GRACE_SECONDS = 4.0

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()
    )
    _check(result, f"mount {source} on {target}")


def bind(source: str, target: str, *, read_only: bool = False) -> None:
    """Show `source` (a folder with what is mounted below it, or a file) at `target` too."""
    mount(source, target, flags=MS_BIND | MS_REC)
    if read_only:
        mount("", target, flags=MS_REMOUNT | MS_BIND | MS_RDONLY)


def pivot(new_root: str) -> None:
    """Make `new_root` the root of this mount namespace and let go of the old one."""
    os.chdir(new_root)
    # Both arguments ".": the old root is stacked on the new one and can be detached (pivot_root(2))
    number = SYS_PIVOT_ROOT[os.uname().machine]
    _check(_libc.syscall(number, b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")


def build_root(config: dict[str, Any]) -> None:
    """Mount the node's own root on a tmpfs and enter it.

    The host's folders are never written: what the node needs of them is bound read-only, and what
    it keeps lives in the cluster's state folder.
    """
    root = Path(config["root"])
    mount("tmpfs", str(root), "tmpfs", data="mode=755")

    def inside(path: str) -> Path:
        return root / path.lstrip("/")

    for folder, mode in config["folders"].items():
        inside(folder).mkdir(parents=True, exist_ok=True)
        inside(folder).chmod(mode)
    for link, target in config["links"].items():
        inside(link).symlink_to(target)
    for file, text in config["files"].items():
        inside(file).parent.mkdir(parents=True, exist_ok=True)
        inside(file).write_text(text)
    mount("proc", str(inside("/proc")), "proc")
    mount("sysfs", str(inside("/sys")), "sysfs")
    for entry in config["binds"]:
        source, target = Path(entry["source"]), inside(entry["target"])
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        bind(str(source), str(target), read_only=entry["read_only"])
    # The kubelet insists on some settings of the whole machine. It reads and writes these stand-ins
    # instead, and the host keeps its own.
    for name, value in config["kernel_settings"].items():
        stand_in = inside("/run/kernel-settings") / name.replace("/", ".")
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text(f"{value}\n")
        target = inside("/proc/sys") / name
        if target.exists():
            bind(str(stand_in), str(target))
    pivot(str(root))
    mount("", "/", flags=MS_REC | MS_SHARED)


class Program:
    """One supervised program."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.name: str = config["name"]
        self.argv: list[str] = config["argv"]
        self.env: dict[str, str] = config["env"]
        # It starts only when all of these exist
        self.requires: list[str] = config["requires"]
        self.log = Path(config["log"])
        self.pid = 0
        self.started = 0.0
        self.next_start = 0.0
        self.delay = FIRST_DELAY

    def due(self, now: float) -> bool:
        """Whether it should be started now."""
        return (
            not self.pid
            and now >= self.next_start
            and all(os.path.exists(path) for path in self.requires)  # noqa: PTH110 (twice a second)
        )

    def start(self, now: float) -> None:
        """Start it, output appended to its log."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(self.log), flags, 0o640),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        # The supervisor waits with signals blocked; a child must not inherit that
        self.pid = os.posix_spawn(
            self.argv[0],
            self.argv,
            self.env,
            file_actions=actions,
            setsigmask=[],
            setpgroup=0,
        )
        self.started = now

    def ended(self, now: float, status: int) -> None:
        """Note that it ended; it starts again after a delay that grows while it keeps failing."""
        if now - self.started > STEADY_SECONDS:
            self.delay = FIRST_DELAY
        code = os.waitstatus_to_exitcode(status)
        say(f"{self.name} ended ({code}); again in {self.delay:.1f} s")
        self.pid = 0
        self.next_start = now + self.delay
        self.delay = min(self.delay * 2, LONGEST_DELAY)


def bound_log(log: Path) -> None:
    """Move a log that has grown too long aside; two files per program are kept."""
    try:
        if not log.exists() or log.stat().st_size < LOG_LIMIT:
            return
        # Copied, then emptied: the program goes on writing to the same open file
        shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)
    except OSError as error:
        say(f"log {log}: {error}")


def say(text: str) -> None:
    """One line in the supervisor's own log."""
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, flush=True)


def reap(programs: list[Program]) -> None:
    """Collect every dead child, supervised or orphaned."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        for program in programs:
            if program.pid == pid:
                program.ended(time.monotonic(), status)


def shut_down(programs: list[Program]) -> None:
    """End the supervised programs, last started first, then everything else in the namespace."""
    say("ending")
    deadline = time.monotonic() + GRACE_SECONDS
    for program in reversed(programs):
        if program.pid:
            os.kill(program.pid, signal.SIGTERM)
            while program.pid and time.monotonic() < deadline:
                signal.sigtimedwait({signal.SIGCHLD}, 0.1)
                reap(programs)
    try:
        os.kill(-1, signal.SIGTERM)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline:
        try:
            os.kill(-1, 0)
        except ProcessLookupError:
            return
        signal.sigtimedwait({signal.SIGCHLD}, 0.1)
        reap(programs)


def supervise(programs: list[Program], own_log: Path) -> None:
    """Keep every program running until SIGTERM; bound their logs and this one's own."""
    logs = [*(program.log for program in programs), own_log]
    next_log_check = 0.0
    while True:
        now = time.monotonic()
        for program in programs:
            if program.due(now):
                try:
                    program.start(now)
                except OSError as error:
                    say(f"{program.name}: {error}")
                    program.next_start = now + LONGEST_DELAY
        if now >= next_log_check:
            next_log_check = now + LOG_CHECK_SECONDS
            for log in logs:
                bound_log(log)
        # Quick while something waits for its turn, else as seldom as the logs need
        waiting = any(not program.pid for program in programs)
        patience = 0.05 if waiting and now - programs[0].started < STEADY_SECONDS else 1.0
        if not waiting:
            patience = LOG_CHECK_SECONDS
        received = signal.sigtimedwait(WATCHED, patience)
        if received is not None and received.si_signo in (signal.SIGTERM, signal.SIGINT):
            shut_down(programs)
            return
        reap(programs)


WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}


def join_cgroups(folders: list[str]) -> None:
    """Move this process into each cgroup, so that all its children are born there."""
    for folder in folders:
        Path(folder, "cgroup.procs").write_text("0")


def enter_namespaces(config: dict[str, Any], config_path: str) -> None:
    """Become `unshare`, whose only child is the node's first process."""
    join_cgroups(config["cgroups"])
    argv = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--propagation", "private"]
    # unshare stays as the parent: when it is killed, so is the node
    argv += ["--fork", "--kill-child=SIGKILL"]
    argv += ["--", sys.executable, "-I", "-S", __file__, "node", config_path]
    os.execvp(argv[0], argv)  # noqa: S606


def main(stage: str, config_path: str) -> int:
    """Run one stage with the configuration at `config_path`."""
    config = json.loads(Path(config_path).read_text())
    if stage == "host":
        enter_namespaces(config, config_path)
    if os.getpid() != 1:
        print("supervisor.py node must be the first process of a PID namespace", file=sys.stderr)
        return errno.EPERM
    if stage == "preflight":
        build_root(config)
        os.execvp(config["command"][0], config["command"])  # noqa: S606
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    os.umask(stat.S_IWGRP | stat.S_IWOTH)
    socket.sethostname(config["hostname"])
    build_root(config)
    say("root mounted")
    programs = [Program(entry) for entry in config["programs"]]
    supervise(programs, Path(config["log"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
