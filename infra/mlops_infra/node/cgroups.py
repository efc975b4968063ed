"""The cgroups of an embedded cluster: one parent in every hierarchy, so that teardown is exact.

    /mlops-<name>            the kubelet's cgroup root: its `kubepods` live below
    /mlops-<name>/node       the node's own processes: supervisor, containerd, kubelet, kube-proxy

cgroup v1 (one hierarchy per controller) is what this was tried on. The path for v2 is the same
code with one hierarchy whose controllers are enabled for the children; it has been tested on a
simulated tree only, not on a running v2 machine.
"""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlops_infra.node.errors import TeardownError

PREFIX = "mlops-"
STILL_SECONDS = 30.0
MOST_SECONDS = 300.0
REQUIRED_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
_V1_ONLY_CONTROLLERS = ("cpuacct", "devices", "freezer")
_MOUNTINFO = Path("/proc/self/mountinfo")


@dataclass(frozen=True, kw_only=True)
class Hierarchy:
    """One mounted cgroup hierarchy; `controllers` is empty for a named or hybrid one."""

    path: Path
    version: int
    controllers: frozenset[str]


def hierarchies(mountinfo: str | None = None) -> tuple[Hierarchy, ...]:
    """The hierarchies mounted on this machine, each once (from proc_pid_mountinfo(5))."""
    text = _MOUNTINFO.read_text() if mountinfo is None else mountinfo
    found: dict[str, Hierarchy] = {}
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        path = Path(left.split()[4].replace("\\040", " "))
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup":
            names = frozenset(options.split(",")) - {"rw", "ro", "xattr", "clone_children"}
            controllers = frozenset(name for name in names if "=" not in name)
            found.setdefault(
                ",".join(sorted(names)), Hierarchy(path=path, version=1, controllers=controllers)
            )
        elif kind == "cgroup2":
            found.setdefault("v2", Hierarchy(path=path, version=2, controllers=_v2(path)))
    return tuple(found.values())


def _v2(path: Path) -> frozenset[str]:
    try:
        return frozenset((path / "cgroup.controllers").read_text().split())
    except OSError:
        return frozenset()


def missing_controllers(mounted: tuple[Hierarchy, ...]) -> tuple[str, ...]:
    """Controllers that Kubernetes needs and this machine does not offer."""
    offered = {controller for hierarchy in mounted for controller in hierarchy.controllers}
    needed = list(REQUIRED_CONTROLLERS)
    if any(hierarchy.version == 1 and hierarchy.controllers for hierarchy in mounted):
        needed += _V1_ONLY_CONTROLLERS
    return tuple(controller for controller in needed if controller not in offered)


@dataclass(frozen=True, kw_only=True)
class ClusterCgroups:
    """The cgroups of the cluster called `name` in the given hierarchies."""

    name: str
    mounted: tuple[Hierarchy, ...]

    @classmethod
    def of(cls, name: str) -> "ClusterCgroups":
        """The cgroups of the named cluster on this machine."""
        return cls(name=name, mounted=hierarchies())

    @property
    def root(self) -> str:
        """The parent's path as the kubelet's configuration wants it."""
        return f"/{PREFIX}{self.name}"

    def parents(self) -> tuple[Path, ...]:
        """The cluster's own cgroup in every hierarchy, whether it exists or not."""
        return tuple(hierarchy.path / f"{PREFIX}{self.name}" for hierarchy in self.mounted)

    def leaves(self) -> tuple[Path, ...]:
        """The cgroup of the node's own processes in every hierarchy."""
        return tuple(parent / "node" for parent in self.parents())

    def create(self) -> None:
        """Make both cgroups in every hierarchy. Doing it twice changes nothing."""
        for hierarchy, parent in zip(self.mounted, self.parents(), strict=True):
            if hierarchy.version == 2 and hierarchy.controllers:
                _enable(hierarchy.path, hierarchy.controllers)
            for folder in (parent, parent / "node"):
                folder.mkdir(exist_ok=True)
                if "cpuset" in hierarchy.controllers and hierarchy.version == 1:
                    _inherit_cpuset(folder)
            if hierarchy.version == 2 and hierarchy.controllers:
                _enable(parent, hierarchy.controllers)

    def existing(self) -> tuple[Path, ...]:
        """Every cgroup of the cluster, children before parents."""
        return tuple(folder for parent in self.parents() for folder in _bottom_up(parent))

    def processes(self) -> frozenset[int]:
        """Process ids in any of the cluster's cgroups, as this process sees them."""
        return frozenset(pid for folder in self.existing() for pid in _members(folder))

    def first_process(self) -> int | None:
        """The process that is number 1 inside the node, or None when the node is not running.

        The cgroup is the record: it can't be stale after a reboot as a file with a number could.
        """
        for pid in sorted(_members(self.leaves()[0])):
            # "NSpid: <here> <inside>": exactly one namespace down (pods' processes are deeper)
            numbers = _status_field(pid, "NSpid:").split()
            if len(numbers) == 2 and numbers[1] == "1" and _status_field(pid, "State:")[0:1] != "Z":
                return pid
        return None

    def program(self, name: str) -> int | None:
        """The process called `name` among the node's own (not a pod's), or None."""
        for pid in sorted(_members(self.leaves()[0])):
            if _status_field(pid, "Name:") == name and _status_field(pid, "State:")[0:1] != "Z":
                return pid
        return None

    def pod_programs(self) -> frozenset[str]:
        """Names of the programs in the cluster's pods, each cut to 15 bytes by the kernel."""
        own = _members(self.leaves()[0])
        return frozenset(_status_field(pid, "Name:") for pid in self.processes() - own)

    def folder(self) -> Path | None:
        """The state folder that the running node was started with, or None if none runs.

        Its first process was given the path of a file in `<folder>/config`.
        """
        pid = self.first_process()
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        except OSError:
            return None
        return Path(os.fsdecode(words[-1])).parent.parent

    def memory(self) -> int:
        """Bytes of memory that only the end of the cluster's processes would free."""
        for hierarchy, parent in zip(self.mounted, self.parents(), strict=True):
            if "memory" in hierarchy.controllers:
                field = "anon" if hierarchy.version == 2 else "total_rss"
                try:
                    text = (parent / "memory.stat").read_text()
                except OSError:
                    return 0
                return int(dict(line.split() for line in text.splitlines()).get(field, 0))
        return 0

    def kill(self, *, still: float = STILL_SECONDS, most: float = MOST_SECONDS) -> None:
        """End every process of the cluster, the node's first one first.

        Args:
            still: seconds that may pass without one that ends. A loaded machine takes its time.
            most: seconds that it may take in all.

        Raises:
            TeardownError: processes do not end.
        """
        patience = _Patience(still=still, most=most)
        while alive := {pid for pid in self.processes() if pid != os.getpid()}:
            if patience.is_over(alive):
                raise TeardownError(
                    f"processes of cluster {self.name} do not end: {sorted(alive)}. They wait for "
                    "the kernel; run the command again in a moment"
                )
            # The first process takes its namespace along; the rest is for what is not in it. It
            # is looked for each time: an interrupted launch may only now have made it
            first = self.first_process()
            for pid in alive if first is None else {first}:
                _signal(pid, signal.SIGKILL)
            time.sleep(0.01)

    def remove(self, *, still: float = STILL_SECONDS, most: float = MOST_SECONDS) -> None:
        """Remove every cgroup of the cluster, bottom-up, until none is left.

        A process that has joined one meanwhile is ended.

        Args:
            still: seconds that may pass without one that goes.
            most: seconds that it may take in all.

        Raises:
            TeardownError: cgroups stay, or processes in them.
        """
        patience = _Patience(still=still, most=most)
        while folders := self.existing():
            self.kill(still=still, most=most)
            for folder in folders:
                # A cgroup with a dying process can't be removed yet, one removed meanwhile is fine
                try:
                    folder.rmdir()
                except OSError:
                    continue
            left = self.existing()
            if not left:
                return
            if patience.is_over(left):
                raise TeardownError(
                    f"cgroups of cluster {self.name} are still in use: "
                    f"{', '.join(map(str, left))}. Run the command again in a moment"
                )
            time.sleep(0.02)


class _Patience:
    """Waits for things to go for as long as some of them do, within a bound."""

    def __init__(self, *, still: float, most: float) -> None:
        self._still = still
        self._end = time.monotonic() + most
        self._deadline = time.monotonic() + still
        self._left: frozenset[object] = frozenset()

    def is_over(self, left: Iterable[object]) -> bool:
        """Tell whether what is left will hardly go any more."""
        now, seen = time.monotonic(), frozenset(left)
        if self._left - seen:
            self._deadline = now + self._still
        self._left = seen
        return now > min(self._deadline, self._end)


def clusters_with_cgroups(mounted: tuple[Hierarchy, ...]) -> frozenset[str]:
    """Names of clusters that have a cgroup in any hierarchy."""
    return frozenset(
        folder.name.removeprefix(PREFIX)
        for hierarchy in mounted
        for folder in hierarchy.path.glob(f"{PREFIX}*")
        if folder.is_dir()
    )


def _bottom_up(folder: Path) -> Iterator[Path]:
    for path, _, _ in os.walk(folder, topdown=False):
        yield Path(path)


def _members(folder: Path) -> frozenset[int]:
    try:
        return frozenset(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
    except OSError:
        return frozenset()


def _status_field(pid: int, field: str) -> str:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return ""
    return next((line[len(field) :].strip() for line in lines if line.startswith(field)), "")


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _inherit_cpuset(folder: Path) -> None:
    # A new v1 cpuset is empty, and no process may enter it before it has cores and memory nodes
    for setting in ("cpuset.cpus", "cpuset.mems"):
        if not (folder / setting).read_text().strip():
            (folder / setting).write_text((folder.parent / setting).read_text())


def _enable(folder: Path, controllers: frozenset[str]) -> None:
    """Give the children of a v2 cgroup the controllers that the kubelet looks for."""
    control = folder / "cgroup.subtree_control"
    wanted = (frozenset(REQUIRED_CONTROLLERS) | {"hugetlb"}) & controllers
    if missing := sorted(wanted - frozenset(control.read_text().split())):
        control.write_text(" ".join(f"+{controller}" for controller in missing))
