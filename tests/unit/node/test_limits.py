import resource
from pathlib import Path

import pytest

from mlops_infra.node import limits
from mlops_infra.node.limits import Limit, host_limits


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with room for everything but inotify instances."""
    for name, text in {
        "sys/fs/inotify/max_user_instances": "128",
        "sys/fs/inotify/max_user_watches": "65536",
        "sys/kernel/pid_max": "4194304",
        "sys/kernel/threads-max": "100000",
        "sys/fs/file-nr": "3000\t0\t9223372036854775807",
        "sys/net/netfilter/nf_conntrack_count": "12",
        "sys/net/netfilter/nf_conntrack_max": "65536",
        "loadavg": "0.1 0.2 0.3 2/800 4711",
        "key-users": "    0:   107 106/106 105/1000000 1900/25000000\n 1000: 2 2/2 2/200 9/20000",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for process in range(1, 101):
        descriptors = tmp_path / str(process) / "fd"
        descriptors.mkdir(parents=True)
        (descriptors / "3").symlink_to("anon_inode:inotify")
        (descriptors / "4").symlink_to("/dev/null")
        info = tmp_path / str(process) / "fdinfo"
        info.mkdir()
        (info / "3").write_text("pos:\t0\ninotify wd:1 ino:2\ninotify wd:2 ino:3\n")
    return tmp_path


def test_inotify_instances_and_watches_of_root_are_counted(proc: Path) -> None:
    assert limits.inotify_in_use(proc) == (100, 200)


def test_only_the_limit_that_is_near_is_named_with_the_sysctl_to_set(proc: Path) -> None:
    (problem,) = filter(None, (limit.problem() for limit in host_limits(proc)))
    assert problem == (
        "100 of 128 inotify instances of root are in use, a cluster needs 40: raise the limit with "
        "`sysctl -w fs.inotify.max_user_instances=180`"
    )


@pytest.mark.parametrize(
    ("file", "text", "remedy"),
    [
        ("sys/fs/inotify/max_user_instances", "8192", None),
        ("sys/fs/inotify/max_user_watches", "2000", "fs.inotify.max_user_watches=4200"),
        ("sys/kernel/pid_max", "2000", "kernel.pid_max=6800"),
        ("sys/kernel/threads-max", "2000", "kernel.threads-max=6800"),
        ("sys/fs/file-nr", "3000 0 10000", "fs.file-max=43000"),
        ("sys/net/netfilter/nf_conntrack_max", "8000", "net.netfilter.nf_conntrack_max=16012"),
        ("key-users", "    0: 1 1/1 199/200 1/1", "kernel.keys.root_maxkeys=599"),
    ],
)
def test_each_limit_has_its_remedy(proc: Path, file: str, text: str, remedy: str | None) -> None:
    (proc / "sys/fs/inotify/max_user_instances").write_text("8192")
    (proc / file).write_text(text)
    problems = [problem for limit in host_limits(proc) if (problem := limit.problem())]
    if remedy is None:
        assert problems == []
    else:
        (problem,) = problems
        assert f"`sysctl -w {remedy}`" in problem


def test_open_files_of_a_process_are_limited_too(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (proc / "sys/fs/inotify/max_user_instances").write_text("8192")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    (problem,) = filter(None, (limit.problem() for limit in host_limits(proc)))
    assert "0 of 4096 open files of one process" in problem
    assert "`ulimit -Hn 16384`" in problem


def test_a_limit_that_is_not_shown_is_left_out(tmp_path: Path) -> None:
    assert {limit.what for limit in host_limits(tmp_path)} <= {"open files of one process"}


def test_this_machines_limits_are_read() -> None:
    found = {limit.what: limit for limit in host_limits()}
    assert found["inotify instances of root"].limit > 0
    assert found["processes and threads"].used > 0


def test_enough_is_no_problem() -> None:
    limit = Limit(what="things", limit=10, used=5, needed=5, remedy="sysctl -w x={}")
    assert limit.problem() is None
