import os
import threading
import time
from pathlib import Path

import pytest

from mlops_infra.node.cgroups import (
    ClusterCgroups,
    Hierarchy,
    clusters_with_cgroups,
    hierarchies,
    missing_controllers,
)
from mlops_infra.node.errors import TeardownError

V1 = """\
25 30 0:23 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
26 25 0:24 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
27 25 0:25 / /sys/fs/cgroup/cpuset rw,nosuid - cgroup cgroup rw,cpuset,clone_children
28 25 0:26 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
29 25 0:27 / /sys/fs/cgroup/pids rw,nosuid - cgroup cgroup rw,pids
31 25 0:28 / /sys/fs/cgroup/systemd rw,nosuid - cgroup cgroup rw,xattr,name=systemd
32 25 0:29 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw
33 99 0:26 / /elsewhere/memory rw,nosuid - cgroup cgroup rw,memory
"""


def hierarchy(path: Path, *controllers: str, version: int = 1) -> Hierarchy:
    path.mkdir(parents=True, exist_ok=True)
    return Hierarchy(path=path, version=version, controllers=frozenset(controllers))


def cpuset_files(folder: Path, cpus: str, mems: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpuset.cpus").write_text(cpus)
    (folder / "cpuset.mems").write_text(mems)


def test_v1_hierarchies_are_each_found_once() -> None:
    found = {str(entry.path): entry for entry in hierarchies(V1)}
    assert set(found) == {
        f"/sys/fs/cgroup/{name}"
        for name in ("cpu,cpuacct", "cpuset", "memory", "pids", "systemd", "unified")
    }
    assert found["/sys/fs/cgroup/cpu,cpuacct"].controllers == {"cpu", "cpuacct"}
    assert found["/sys/fs/cgroup/cpuset"].controllers == {"cpuset"}
    assert found["/sys/fs/cgroup/systemd"].controllers == frozenset()
    assert found["/sys/fs/cgroup/unified"].version == 2


def test_v2_is_one_hierarchy_with_the_controllers_that_it_lists(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids\n")
    line = f"30 23 0:26 / {tmp_path} rw,nosuid,nodev - cgroup2 cgroup2 rw,nsdelegate"
    (found,) = hierarchies(line)
    assert found.version == 2
    assert found.controllers == {"cpuset", "cpu", "io", "memory", "hugetlb", "pids"}
    assert missing_controllers((found,)) == ()


def test_missing_controllers_are_named(tmp_path: Path) -> None:
    v1 = (hierarchy(tmp_path / "cpu", "cpu"), hierarchy(tmp_path / "memory", "memory"))
    assert missing_controllers(v1) == ("cpuset", "pids", "cpuacct", "devices", "freezer")
    v2 = (hierarchy(tmp_path / "v2", "cpu", "memory", "pids", version=2),)
    assert missing_controllers(v2) == ("cpuset",)


def test_v1_a_new_cpuset_gets_its_parents_cores(tmp_path: Path) -> None:
    root = hierarchy(tmp_path / "cpuset", "cpuset")
    cpuset_files(root.path, "0-1\n", "0\n")
    # The kernel makes these files with the folder; a temporary folder needs them made
    cpuset_files(root.path / "mlops-dev", "\n", "\n")
    cpuset_files(root.path / "mlops-dev/node", "\n", "\n")
    cgroups = ClusterCgroups(name="dev", mounted=(root, hierarchy(tmp_path / "memory", "memory")))
    cgroups.create()
    cgroups.create()
    assert (root.path / "mlops-dev/node/cpuset.cpus").read_text() == "0-1\n"
    assert (root.path / "mlops-dev/node/cpuset.mems").read_text() == "0\n"
    assert (tmp_path / "memory/mlops-dev/node").is_dir()


def test_v2_controllers_reach_the_children(tmp_path: Path) -> None:
    root = hierarchy(tmp_path / "v2", "cpu", "cpuset", "memory", "pids", "io", version=2)
    (root.path / "mlops-dev").mkdir()
    (root.path / "cgroup.subtree_control").write_text("memory pids\n")
    (root.path / "mlops-dev/cgroup.subtree_control").write_text("\n")
    ClusterCgroups(name="dev", mounted=(root,)).create()
    assert (root.path / "cgroup.subtree_control").read_text() == "+cpu +cpuset"
    below = (root.path / "mlops-dev/cgroup.subtree_control").read_text()
    assert below == "+cpu +cpuset +memory +pids"


def test_remove_takes_every_level_in_every_hierarchy_and_nothing_else(tmp_path: Path) -> None:
    mounted = (hierarchy(tmp_path / "memory", "memory"), hierarchy(tmp_path / "pids", "pids"))
    for entry in mounted:
        (entry.path / "mlops-dev/kubepods/burstable/pod1/c1").mkdir(parents=True)
        (entry.path / "mlops-dev2/node").mkdir(parents=True)
    (tmp_path / "memory/mlops-dev/node").mkdir()
    ClusterCgroups(name="dev", mounted=mounted).remove()
    assert clusters_with_cgroups(mounted) == {"dev2"}
    assert (tmp_path / "pids/mlops-dev2/node").is_dir()
    ClusterCgroups(name="dev", mounted=mounted).remove()


def test_remove_is_bounded_and_says_what_is_in_use(tmp_path: Path) -> None:
    root = hierarchy(tmp_path / "memory", "memory")
    (root.path / "mlops-dev").mkdir()
    (root.path / "mlops-dev/busy").write_text("a real cgroup can't be removed while in use either")
    with pytest.raises(TeardownError, match="memory/mlops-dev"):
        ClusterCgroups(name="dev", mounted=(root,)).remove(still=0.1)


def test_kill_is_bounded_and_names_what_does_not_end(tmp_path: Path) -> None:
    root = hierarchy(tmp_path / "pids", "pids")
    (root.path / "mlops-dev/node").mkdir(parents=True)
    # A number above the kernel's limit: no process ever has it, and this list never empties
    (root.path / "mlops-dev/node/cgroup.procs").write_text("4194305\n")
    with pytest.raises(TeardownError, match="4194305"):
        ClusterCgroups(name="dev", mounted=(root,)).kill(still=0.1)


def test_kill_goes_on_while_processes_end_and_not_for_ever(tmp_path: Path) -> None:
    root = hierarchy(tmp_path / "pids", "pids")
    (root.path / "mlops-dev/node").mkdir(parents=True)
    listed = root.path / "mlops-dev/node/cgroup.procs"
    cgroups = ClusterCgroups(name="dev", mounted=(root,))

    def ending_slowly() -> threading.Thread:
        """Processes of which one ends every 0.15 s; the kernel writes their list so."""

        def run() -> None:
            for count in range(6, -1, -1):
                # Whole at once: a file that is being written would look empty
                part = tmp_path / "part"
                part.write_text("".join(f"{4194305 + number}\n" for number in range(count)))
                part.replace(listed)
                time.sleep(0.15)

        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(0.05)
        return thread

    thread = ending_slowly()
    cgroups.kill(still=0.5)
    thread.join()
    assert cgroups.processes() == frozenset()
    thread = ending_slowly()
    with pytest.raises(TeardownError, match="4194305"):
        cgroups.kill(still=0.5, most=0.3)
    thread.join()


def test_this_process_is_no_nodes_first_process(tmp_path: Path) -> None:
    root = hierarchy(tmp_path / "pids", "pids")
    (root.path / "mlops-dev/node").mkdir(parents=True)
    (root.path / "mlops-dev/node/cgroup.procs").write_text(f"{os.getpid()}\n")
    cgroups = ClusterCgroups(name="dev", mounted=(root,))
    assert cgroups.processes() == {os.getpid()}
    assert cgroups.first_process() is None
    own_name = Path("/proc/self/comm").read_text().strip()
    assert cgroups.program(own_name) == os.getpid()
    assert cgroups.program("kubelet") is None
