import dataclasses
import ipaddress
import os
import shutil
from pathlib import Path

import pytest

from mlops_infra.node import config, preflight
from mlops_infra.node.limits import Limit
from mlops_infra.node.network import UsedNetwork
from mlops_infra.node.preflight import GIB, Facts, file_system_of, problems
from mlops_infra.node.spec import NodeSpec

GOOD = Facts(
    uid=0,
    platform="linux",
    missing_programs=(),
    missing_tools=(),
    missing_plugins=(),
    image_problem=None,
    failed_trials=(),
    missing_controllers=(),
    state_folder="/state",
    state_file_system="ext4",
    state_free=50 * GIB,
    cache_folder="/cache",
    cache_free=50 * GIB,
    cache_needed=2 * GIB,
    memory_total=8 * GIB,
    memory_available=6 * GIB,
    cores=2,
    networks=(),
    clusters={},
)
SPEC = NodeSpec(name="dev")


FEW_INSTANCES = Limit(
    what="inotify instances of root",
    limit=128,
    used=120,
    needed=40,
    remedy="sysctl -w fs.inotify.max_user_instances={}",
)


def test_a_good_machine_has_no_problems() -> None:
    assert problems(SPEC, GOOD) == ()


@pytest.mark.parametrize(
    ("change", "said", "remedy"),
    [
        ({"uid": 1000}, "needs root", "sudo"),
        ({"platform": "darwin"}, "this is darwin", "`kind` or `existing`"),
        ({"missing_programs": ("nft",)}, "not installed: nft", "make toolchain"),
        ({"missing_tools": ("kubelet",)}, "not built yet: kubelet", "make toolchain"),
        ({"missing_plugins": ("ptp",)}, "CNI plugins not made yet: ptp", "make toolchain"),
        ({"failed_trials": ("overlayfs",)}, "overlayfs does not work", "modprobe overlay"),
        ({"failed_trials": ("nftables",)}, "nftables does not work", "modprobe"),
        ({"failed_trials": ("nft -j",)}, "nft -j does not work", "package nftables"),
        ({"failed_trials": ("namespaces",)}, "namespaces", "outside a restricted container"),
        ({"limits": (FEW_INSTANCES,)}, "120 of 128 inotify", "fs.inotify.max_user_instances=200"),
        ({"missing_controllers": ("memory",)}, "not offered: memory", "cgroup_enable="),
        ({"state_file_system": "overlay"}, "/state is on overlay", "MLOPS_STATE"),
        ({"state_file_system": "fuse.sshfs"}, "/state is on fuse.sshfs", "MLOPS_STATE"),
        ({"state_free": GIB}, "1.0 GiB free at /state, 2.0 GiB needed", "MLOPS_STATE"),
        ({"cache_free": GIB}, "1.0 GiB free at /cache, 2.0 GiB needed", "MLOPS_CACHE"),
        ({"memory_available": GIB // 2}, "0.5 GiB of memory available", "end other programs"),
        (
            {"clusters": {"other": "10.210.0.0/16"}},
            "overlaps cluster other",
            "choose another network",
        ),
        (
            {"networks": (UsedNetwork(network=ipaddress.IPv4Network("10.0.0.0/8"), by="vpn"),)},
            "overlaps vpn",
            "choose another network",
        ),
    ],
)
def test_each_problem_is_named_with_its_remedy(
    change: dict[str, object], said: str, remedy: str
) -> None:
    spec = NodeSpec(name="dev", network="10.210.0.0/16")
    (found,) = problems(spec, dataclasses.replace(GOOD, **change))  # type: ignore[arg-type]
    assert said in found
    assert remedy in found


def test_all_problems_are_reported_together() -> None:
    bad = dataclasses.replace(GOOD, missing_controllers=("pids",), state_free=0, cache_free=0)
    assert len(problems(SPEC, bad)) == 3


def test_a_reservation_larger_than_the_machine_is_refused() -> None:
    greedy = NodeSpec(name="dev", reserved_memory="7.5Gi", reserved_cpu="1.6")
    memory, cpu = problems(greedy, GOOD)
    assert "reserved_memory 7.5Gi leaves 0.5 GiB of this machine's 8.0 GiB" in memory
    assert "reserved_cpu 1.6 leaves less than half a core" in cpu


def test_kernel_trials_say_nothing_without_root() -> None:
    user = dataclasses.replace(GOOD, uid=1000, failed_trials=("overlayfs",))
    (found,) = problems(SPEC, user)
    assert "needs root" in found


def test_a_cluster_that_starts_again_needs_the_network_that_it_has() -> None:
    taken = dataclasses.replace(
        GOOD, networks=(UsedNetwork(network=ipaddress.IPv4Network("10.210.7.0/24"), by="docker0"),)
    )
    assert problems(SPEC, taken) == ()
    (found,) = problems(SPEC, taken, given_network="10.210.0.0/16")
    assert "docker0" in found


def test_a_cluster_that_starts_again_is_not_refused_for_want_of_room() -> None:
    # It has to run before anything in it can be removed
    tight = dataclasses.replace(GOOD, state_free=0, cache_free=0, limits=(FEW_INSTANCES,))
    assert problems(SPEC, tight, given_network="10.210.0.0/16") == ()
    assert len(problems(SPEC, tight)) == 3


def test_the_memory_of_a_broken_cluster_is_free_for_its_next_start() -> None:
    tight = dataclasses.replace(GOOD, memory_available=GIB // 4)
    (found,) = problems(SPEC, tight, given_network="10.210.0.0/16")
    assert "0.2 GiB of memory available" in found
    own = dataclasses.replace(tight, memory_own=GIB)
    assert problems(SPEC, own, given_network="10.210.0.0/16") == ()


needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("nft") is None, reason="needs root and nft"
)


@needs_namespaces
def test_nft_reads_back_what_it_wrote_in_a_root_like_a_nodes() -> None:
    assert preflight.reads_maps_back()


@needs_namespaces
def test_without_the_names_of_protocols_preflight_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(config.LOOK_UPS, "/etc/protocols")
    assert not preflight.reads_maps_back()
    assert preflight.try_kernel() == ("nft -j",)


MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
40 22 0:40 / /var/lib rw - overlay overlay rw
41 40 0:41 / /var/lib/data\\040two rw - xfs /dev/sdb rw
42 40 0:42 / /var/library rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/srv/state", "ext4"), ("/var/lib/x", "overlay"), ("/var/lib/data two/x", "xfs")],
)
def test_the_file_system_of_a_path_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind
