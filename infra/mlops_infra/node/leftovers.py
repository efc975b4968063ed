"""What is still on this machine of embedded clusters."""

import json
from dataclasses import dataclass
from pathlib import Path

from mlops_infra.node import network
from mlops_infra.node.cgroups import ClusterCgroups, clusters_with_cgroups, hierarchies
from mlops_infra.node.command import run
from mlops_infra.node.layout import state_root
from mlops_infra.node.spec import link_name

_MOUNTINFO = Path("/proc/self/mountinfo")


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """One thing that belongs to a cluster: a process, a cgroup, a link, a route, a mount, files."""

    cluster: str
    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.cluster}: {self.kind} {self.what}"


def leftovers(name: str | None = None) -> tuple[Leftover, ...]:
    """Everything on this machine that belongs to the named cluster, or to any cluster."""
    mounted = hierarchies()
    links = network.owned_links()
    if name is not None:
        links |= {link: name for link in _links() if link == link_name(name)}
    mounts = mounts_below(_MOUNTINFO.read_text(), state_root())
    folders = _folders()
    names = (
        {name}
        if name is not None
        else {*clusters_with_cgroups(mounted), *links.values(), *mounts.values(), *folders.values()}
    )
    found: list[Leftover] = []
    for cluster in sorted(names):
        cgroups = ClusterCgroups(name=cluster, mounted=mounted)
        found += [
            Leftover(cluster=cluster, kind="process", what=f"{pid} ({_command(pid)})")
            for pid in sorted(cgroups.processes())
        ]
        found += [
            Leftover(cluster=cluster, kind="cgroup", what=str(path))
            for path in cgroups.parents()
            if path.is_dir()
        ]
        mine = [link for link, owner in links.items() if owner == cluster]
        found += [Leftover(cluster=cluster, kind="link", what=link) for link in mine]
        found += [
            Leftover(cluster=cluster, kind="route", what=route)
            for link in mine
            for route in run(["ip", "route", "show", "dev", link]).splitlines()
        ]
        for kind, things in (("mount", mounts), ("folder", folders)):
            found += [
                Leftover(cluster=cluster, kind=kind, what=path)
                for path, owner in things.items()
                if owner == cluster
            ]
    return tuple(found)


def mounts_below(mountinfo: str, root: Path) -> dict[str, str]:
    """Mount points below the clusters' folder, with the cluster that each belongs to."""
    found = {}
    for line in mountinfo.splitlines():
        point = Path(line.split()[4].replace("\\040", " "))
        if point != root and point.is_relative_to(root):
            found[str(point)] = _owner(point.relative_to(root).parts[0])
    return found


def _folders() -> dict[str, str]:
    root = state_root()
    if not root.is_dir():
        return {}
    return {str(entry): _owner(entry.name) for entry in sorted(root.iterdir()) if entry.is_dir()}


def _owner(folder: str) -> str:
    if folder.startswith(".deleting-"):
        return folder.removeprefix(".deleting-").rpartition("-")[0]
    return folder


def _links() -> list[str]:
    return [entry["ifname"] for entry in json.loads(run(["ip", "-json", "link"]))]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "ended"
