"""Whether this machine can carry a cluster, asked before anything is touched.

`gather` looks at the machine and changes nothing on it; `problems` judges what was seen and is a
pure function. Every failed check is reported at once, each with its remedy.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlops_infra.node import config, network, supervisor
from mlops_infra.node.boot import HOST_PROGRAMS, PROGRAMS
from mlops_infra.node.cgroups import ClusterCgroups, hierarchies, missing_controllers
from mlops_infra.node.config import CNI_PLUGINS
from mlops_infra.node.errors import ImageError, PreflightError
from mlops_infra.node.images import (
    BaseImages,
    base_archives,
    extra_archives,
    seed_is_ready,
)
from mlops_infra.node.layout import StateFolder, Tools, state_root
from mlops_infra.node.limits import Limit, host_limits
from mlops_infra.node.spec import NodeSpec, parse_cpu, parse_memory
from mlops_infra.node.state import other_networks

LOG = logging.getLogger(__name__)
GIB = 2**30
# An idle control plane with its add-ons takes 0.9 GiB; etcd, logs and a first image 1 GiB of disk
CONTROL_PLANE_MEMORY = GIB
STATE_DISK = 2 * GIB
# A seed holds each image twice, as an archive's blobs and unpacked
SEED_EXPANSION = 5

# File systems that cannot hold an overlay's upper layer
_NO_OVERLAY_UPPER = ("overlay", "aufs", "nfs", "nfs4", "cifs", "vfat", "9p", "fuse", "virtiofs")

# What the kernel must offer, each tried where nothing of the trial survives
_TRIAL = """
mount -t tmpfs trial /tmp || echo tmpfs
mkdir /tmp/a /tmp/b /tmp/c /tmp/d
mount -t overlay -o lowerdir=/tmp/a,upperdir=/tmp/b,workdir=/tmp/c trial /tmp/d || echo overlayfs
ip link add trial0 type veth peer name trial1 || echo veth
nft -f - <<end || echo nftables
table ip trial {
  map services { type ipv4_addr . inet_proto . inet_service : verdict; }
  chain nat { type nat hook postrouting priority 100; ct state new masquerade; }
  chain local { type nat hook prerouting priority -100; fib daddr type local counter; }
}
end
"""
# What kube-proxy's full sync does: it reads a map back and compares the elements with its own
_READ_BACK = """
nft -f - <<end || exit 1
table ip trial {
  map services {
    type ipv4_addr . inet_proto . inet_service : verdict;
    elements = { 10.0.0.1 . tcp . 80 : drop, 10.0.0.1 . udp . 53 : drop };
  }
}
end
nft -j list map ip trial services
"""
_TRIAL_REMEDY = {
    "tmpfs": "this kernel cannot mount a tmpfs here",
    "overlayfs": "load the kernel module overlay (`modprobe overlay`) or use a kernel that has it",
    "veth": "load the kernel module veth (`modprobe veth`) or use a kernel that has it",
    "nftables": (
        "load the kernel modules nf_tables, nft_chain_nat, nft_masq and nft_fib_ipv4 "
        "(`modprobe …`), or use a kernel that has them"
    ),
    "nft -j": (
        "it does not name the protocols of a map's elements, so kube-proxy would delete every "
        "Service an hour after the start: install Debian's package nftables (1.0.6 is tried)"
    ),
    "namespaces": (
        "this process may not open mount, PID, network, UTS and IPC namespaces: run it as root "
        "outside a restricted container"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was seen of the machine."""

    uid: int
    platform: str
    missing_programs: tuple[str, ...]
    missing_tools: tuple[str, ...]
    missing_plugins: tuple[str, ...]
    image_problem: str | None
    failed_trials: tuple[str, ...]
    missing_controllers: tuple[str, ...]
    state_folder: str
    state_file_system: str
    state_free: int
    cache_folder: str
    cache_free: int
    cache_needed: int
    memory_total: int
    memory_available: int
    cores: int
    networks: tuple[network.UsedNetwork, ...]
    clusters: Mapping[str, str]
    memory_own: int = 0
    limits: tuple[Limit, ...] = ()


def check(spec: NodeSpec, tools: Tools, *, given_network: str | None = None) -> None:
    """Raise PreflightError with every reason why this machine cannot carry the cluster now.

    `given_network` is the network of a cluster that exists already and is to be started again. Such
    a one is not refused for want of room: it has to run before anything in it can be removed.
    """
    facts = gather(spec, tools)
    found = problems(spec, facts, given_network=given_network)
    if found:
        raise PreflightError(found)
    if given_network:
        for warning in _room_problems(facts):
            LOG.warning("cluster %s is started all the same: %s", spec.name, warning)


def problems(spec: NodeSpec, facts: Facts, *, given_network: str | None = None) -> tuple[str, ...]:
    """Why a machine of which `facts` hold cannot carry the cluster; empty when it can."""
    found = []
    if facts.uid != 0:
        found.append("this needs root: run it with sudo or in a root shell")
    if facts.platform != "linux":
        found.append(
            f"an embedded cluster needs Linux, this is {facts.platform}: use the provider `kind` "
            "or `existing`"
        )
    if facts.missing_programs:
        found.append(
            f"not installed: {', '.join(facts.missing_programs)}: run `make toolchain`, which "
            "installs the Debian packages that have them"
        )
    if facts.missing_tools:
        found.append(f"not built yet: {', '.join(facts.missing_tools)}: run `make toolchain`")
    if facts.missing_plugins:
        found.append(
            f"CNI plugins not made yet: {', '.join(facts.missing_plugins)}: run `make toolchain`"
        )
    if facts.image_problem:
        found.append(facts.image_problem)
    # Without root or the programs the trials say nothing about the kernel
    if facts.uid == 0 and not facts.missing_programs:
        found += [f"{trial} does not work: {_TRIAL_REMEDY[trial]}" for trial in facts.failed_trials]
    if facts.missing_controllers:
        found.append(
            f"cgroup controllers not offered: {', '.join(facts.missing_controllers)}: mount them "
            "(v1), or enable them with the kernel parameter cgroup_enable= (v2)"
        )
    found += _resource_problems(spec, facts)
    if given_network is None:
        found += _room_problems(facts)
    try:
        network.choose(given_network or spec.network, facts.networks, facts.clusters)
    except PreflightError as error:
        found += error.problems
    return tuple(found)


def _room_problems(facts: Facts) -> list[str]:
    """What there is too little of for a new cluster."""
    found = []
    for folder, free, needed, variable in (
        (facts.state_folder, facts.state_free, STATE_DISK, "MLOPS_STATE"),
        (facts.cache_folder, facts.cache_free, facts.cache_needed, "MLOPS_CACHE"),
    ):
        if free < needed:
            found.append(
                f"{_gib(free)} free at {folder}, {_gib(needed)} needed: make room, or set "
                f"{variable} to a folder on a larger disk"
            )
    found += [problem for limit in facts.limits if (problem := limit.problem())]
    return found


def _resource_problems(spec: NodeSpec, facts: Facts) -> list[str]:
    found = []
    if facts.state_file_system.partition(".")[0] in _NO_OVERLAY_UPPER:
        found.append(
            f"{facts.state_folder} is on {facts.state_file_system}, which cannot hold image "
            "layers: set MLOPS_STATE to a folder on ext4, xfs or btrfs"
        )
    reserved = parse_memory(spec.reserved_memory)
    needed = CONTROL_PLANE_MEMORY
    # What still runs of a cluster that is started again ends first
    if (available := facts.memory_available + facts.memory_own) < needed:
        found.append(
            f"{_gib(available)} of memory available, the control plane needs "
            f"{_gib(needed)}: end other programs or use a larger machine"
        )
    if facts.memory_total - reserved < needed:
        found.append(
            f"reserved_memory {spec.reserved_memory} leaves {_gib(facts.memory_total - reserved)} "
            f"of this machine's {_gib(facts.memory_total)}, the cluster needs {_gib(needed)}: "
            "reserve less"
        )
    if facts.cores * 1000 - parse_cpu(spec.reserved_cpu) < 500:
        found.append(
            f"reserved_cpu {spec.reserved_cpu} leaves less than half a core of this machine's "
            f"{facts.cores}: reserve less"
        )
    return found


def gather(spec: NodeSpec, tools: Tools) -> Facts:
    """Look at this machine."""
    root = state_root()
    memory = _memory()
    tools = tools.of_kubernetes(spec.kubernetes_version)
    image_problem, cache_needed = _images(spec, tools)
    missing = tuple(name for name in HOST_PROGRAMS if _find(name) is None)
    return Facts(
        uid=os.geteuid(),
        platform=sys.platform,
        missing_programs=missing,
        missing_tools=tuple(
            name for name in PROGRAMS if not os.access(tools.bin_dir / name, os.X_OK)
        ),
        missing_plugins=tuple(
            name for name in CNI_PLUGINS if not os.access(tools.cni_dir / name, os.X_OK)
        ),
        image_problem=image_problem,
        failed_trials=() if missing or os.geteuid() else try_kernel(),
        missing_controllers=missing_controllers(hierarchies()),
        state_folder=str(root),
        state_file_system=file_system_of(root, Path("/proc/self/mountinfo").read_text()),
        state_free=_free(root),
        cache_folder=str(tools.cache),
        cache_free=_free(tools.cache),
        cache_needed=cache_needed,
        memory_total=memory.get("MemTotal", 0),
        memory_available=memory.get("MemAvailable", 0),
        cores=os.cpu_count() or 1,
        networks=() if "ip" in missing else network.host_networks(of_others_than=spec.name),
        clusters=other_networks(StateFolder.of(spec.name)),
        memory_own=ClusterCgroups.of(spec.name).memory(),
        limits=host_limits(),
    )


def try_kernel() -> tuple[str, ...]:
    """Use each kernel feature once in namespaces that end with the trial; returns what failed."""
    done = _in_namespaces(["sh", "-c", _TRIAL])
    failed = tuple(word for word in done.stdout.split() if word in _TRIAL_REMEDY)
    if done.returncode and not failed:
        return ("namespaces",)
    if not failed and not reads_maps_back():
        return ("nft -j",)
    return failed


def reads_maps_back() -> bool:
    """Whether `nft -j`, in a root like a node's, says of a map what was written into it."""
    supervised = [sys.executable, "-I", "-S", str(supervisor.__file__), "preflight", "/dev/stdin"]
    done = _in_namespaces(supervised, stdin=config.trial(["sh", "-c", _READ_BACK]))
    try:
        entries = json.loads(done.stdout)["nftables"]
        (found,) = [entry["map"] for entry in entries if "map" in entry]
        elements = {tuple(key["concat"]) for key, _verdict in found["elem"]}
    except (ValueError, KeyError, TypeError):
        return False
    return elements == {("10.0.0.1", "tcp", 80), ("10.0.0.1", "udp", 53)}


def _in_namespaces(argv: list[str], *, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", *argv],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def file_system_of(path: Path, mountinfo: str) -> str:
    """The type of the file system that holds `path`, from the text of mountinfo."""
    best, kind = Path("/"), "unknown"
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        point = Path(left.split()[4].replace("\\040", " "))
        # A later mount on the same point hides an earlier one
        if path.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, right.split()[0]
    return kind


def _images(spec: NodeSpec, tools: Tools) -> tuple[str | None, int]:
    """What is wrong with the images, and how much of the cache their seed will take."""
    try:
        base = base_archives(tools)
        BaseImages.of(base, kubernetes_version=spec.kubernetes_version)
        archives = (*base, *extra_archives(tools, spec.images))
        if seed_is_ready(archives, tools):
            return None, 0
    except ImageError as error:
        return str(error), 0
    except OSError:
        return None, 0  # containerd is missing, which is reported by itself
    return None, SEED_EXPANSION * sum(archive.path.stat().st_size for archive in archives)


def _find(program: str) -> str | None:
    path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
    return shutil.which(program, path=path)


def _free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _memory() -> dict[str, int]:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return {
        name: int(rest.split()[0]) * 1024
        for name, _, rest in (line.partition(":") for line in lines)
    }


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
