"""Limits of the whole machine that clusters share with everything else on it."""

import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_SYSCTL = _PROC / "sys"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One limit: how much of it there is, is in use, and a new cluster needs."""

    what: str
    limit: int
    used: int
    needed: int
    remedy: str

    def problem(self) -> str | None:
        """What to say when too little is left, with the command that raises the limit."""
        if self.limit - self.used >= self.needed:
            return None
        remedy = self.remedy.format(self.used + 2 * self.needed)
        return (
            f"{self.used} of {self.limit} {self.what} are in use, a cluster needs {self.needed}: "
            f"raise the limit with `{remedy}`"
        )


def host_limits(proc: Path = _PROC) -> tuple[Limit, ...]:
    """The limits that a cluster has met on a machine with room otherwise.

    What a cluster with every component and both serving engines was seen to use, and half as much
    again. Limits that this machine does not show are left out.
    """
    return tuple(_limits(proc))


def _limits(proc: Path) -> Iterator[Limit]:
    sysctl = proc / "sys"
    instances, watches = inotify_in_use(proc)
    for name, what, used, needed in (
        ("max_user_instances", "inotify instances of root", instances, INOTIFY_INSTANCES),
        ("max_user_watches", "inotify watches of root", watches, INOTIFY_WATCHES),
    ):
        limit = _number(sysctl / "fs/inotify" / name)
        if limit is not None:
            yield Limit(
                what=what,
                limit=limit,
                used=used,
                needed=needed,
                remedy=f"sysctl -w fs.inotify.{name}={{}}",
            )
    tasks = _tasks(proc)
    for name in ("pid_max", "threads-max"):
        limit = _number(sysctl / "kernel" / name)
        if limit is not None and tasks is not None:
            yield Limit(
                what="processes and threads",
                limit=limit,
                used=tasks,
                needed=TASKS,
                remedy=f"sysctl -w kernel.{name}={{}}",
            )
    files = _words(sysctl / "fs/file-nr")
    if len(files) == 3:
        yield Limit(
            what="open files of the machine",
            limit=int(files[2]),
            used=int(files[0]),
            needed=OPEN_FILES,
            remedy="sysctl -w fs.file-max={}",
        )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        yield Limit(
            what="open files of one process",
            limit=hard,
            used=0,
            needed=OPEN_FILES_OF_ONE,
            remedy="ulimit -Hn {}",
        )
    yield from _keys(proc)
    connections = _number(sysctl / "net/netfilter/nf_conntrack_count")
    limit = _number(sysctl / "net/netfilter/nf_conntrack_max")
    if limit is not None and connections is not None:
        yield Limit(
            what="tracked connections",
            limit=limit,
            used=connections,
            needed=CONNECTIONS,
            remedy="sysctl -w net.netfilter.nf_conntrack_max={}",
        )


# Of one whole stack; see host_limits
INOTIFY_INSTANCES = 40
INOTIFY_WATCHES = 2000
TASKS = 3000
OPEN_FILES = 20000
OPEN_FILES_OF_ONE = 8192
KEYS = 200
CONNECTIONS = 8000


def _keys(proc: Path) -> Iterator[Limit]:
    """runc makes a keyring for each container; "0: usage nkeys/nikeys qnkeys/maxkeys …"."""
    try:
        lines = (proc / "key-users").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        user, _, rest = line.partition(":")
        if user.strip() == "0":
            used, _, limit = rest.split()[2].partition("/")
            yield Limit(
                what="kernel keys of root",
                limit=int(limit),
                used=int(used),
                needed=KEYS,
                remedy="sysctl -w kernel.keys.root_maxkeys={}",
            )


def inotify_in_use(proc: Path = _PROC) -> tuple[int, int]:
    """How many inotify instances and watches root's processes hold."""
    instances = watches = 0
    for process in proc.glob("[0-9]*"):
        try:
            if process.stat().st_uid != 0:
                continue
            descriptors = list((process / "fd").iterdir())
        except OSError:
            continue  # it has ended
        for descriptor in descriptors:
            try:
                if "inotify" not in str(descriptor.readlink()):
                    continue
                info = (process / "fdinfo" / descriptor.name).read_text()
            except OSError:
                continue
            instances += 1
            watches += sum(line.startswith("inotify ") for line in info.splitlines())
    return instances, watches


def _tasks(proc: Path) -> int | None:
    words = _words(proc / "loadavg")
    return int(words[3].partition("/")[2]) if len(words) > 3 else None


def _number(path: Path) -> int | None:
    words = _words(path)
    return int(words[0]) if words else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
