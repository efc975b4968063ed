"""Running Pulumi in a checkout: its environment, its configuration file and its locks."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from mlops_infra import stack_identity
from mlops_stack import environment
from mlops_stack.environment import PassphraseError
from mlops_stack.pulumi_cli import ID_TAG, PulumiError, Stack
from mlops_toolchain import layout

CONFIG = "# committed, with a comment\nconfig:\n  mlops-platform:ephemeral: true\n"
PULUMI = layout.bin_dir() / "pulumi"

needs_pulumi = pytest.mark.skipif(
    not PULUMI.exists(), reason="needs the toolchain's pulumi; run `make toolchain`"
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own, so that the real one's state stays as it is."""
    folder = tmp_path / "checkout with space"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: mlops-platform\nruntime: python\n")
    if PULUMI.exists():
        (folder / ".toolchain").mkdir()
        (folder / ".toolchain/bin").symlink_to(layout.bin_dir())
    monkeypatch.setattr(layout, "checkout", lambda: folder)
    return folder


def _lock(checkout: Path, stack: str, **content: object) -> Path:
    folder = checkout / ".state/pulumi/.pulumi/locks/organization/mlops-platform" / stack
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "a.json"
    file.write_text(json.dumps({"hostname": socket.gethostname(), **content}))
    return file


def _dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.fixture
def pulumi_pid(tmp_path: Path) -> Iterator[int]:
    """A process that looks like Pulumi at work."""
    program = tmp_path / "pulumi"
    shutil.copyfile(str(shutil.which("sleep")), program)
    program.chmod(0o755)
    process = subprocess.Popen([program, "60"])
    yield process.pid
    process.kill()
    process.wait()


def test_the_lock_of_a_dead_command_is_removed(checkout: Path) -> None:
    dead, others = _lock(checkout, "dev", pid=_dead_pid()), _lock(checkout, "b", pid=_dead_pid())
    Stack("dev")._clear_stale_lock()
    assert not dead.exists()
    assert others.exists()


def test_the_lock_of_a_running_command_is_kept(checkout: Path, pulumi_pid: int) -> None:
    # The new process bears its program's name only once it has begun to run it.
    _wait_for_state(pulumi_pid, "S")
    lock = _lock(checkout, "dev", pid=pulumi_pid)
    Stack("dev")._clear_stale_lock()
    assert lock.exists()


def test_a_killed_command_that_nobody_waited_for_holds_nothing(
    checkout: Path, pulumi_pid: int
) -> None:
    _wait_for_state(pulumi_pid, "S")
    os.kill(pulumi_pid, signal.SIGKILL)
    _wait_for_state(pulumi_pid, "Z")
    lock = _lock(checkout, "dev", pid=pulumi_pid)
    Stack("dev")._clear_stale_lock()
    assert not lock.exists()


def _wait_for_state(pid: int, state: str) -> None:
    end = time.monotonic() + 10
    while f"(pulumi) {state}" not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_number_that_now_belongs_to_another_program_holds_nothing(checkout: Path) -> None:
    lock = _lock(checkout, "dev", pid=os.getpid())
    Stack("dev")._clear_stale_lock()
    assert not lock.exists()


def test_the_lock_of_another_machine_is_kept(checkout: Path) -> None:
    lock = _lock(checkout, "dev", pid=_dead_pid(), hostname="elsewhere.example")
    Stack("dev")._clear_stale_lock()
    assert lock.exists()


def test_a_lock_that_cannot_be_understood_is_kept(checkout: Path) -> None:
    lock = _lock(checkout, "dev")
    lock.write_text("[")
    Stack("dev")._clear_stale_lock()
    assert lock.exists()


@needs_pulumi
def test_the_committed_configuration_stays_as_it_is(checkout: Path) -> None:
    committed = checkout / "Pulumi.dev.yaml"
    committed.write_text(CONFIG)
    stack = Stack("dev")
    assert not stack.exists()
    stack.ensure()
    assert committed.read_text() == CONFIG
    assert stack.exists()
    assert stack.resources() == []
    stack.remove()
    assert committed.read_text() == CONFIG


@needs_pulumi
def test_a_stack_without_configuration_leaves_no_file_behind(checkout: Path) -> None:
    stack = Stack("fresh")
    # What an earlier life of the stack has left.
    left = checkout / ".state/config/Pulumi.fresh.yaml"
    left.parent.mkdir(parents=True)
    left.write_text("encryptionsalt: v1:old\n")
    stack.ensure()
    assert not list(checkout.glob("Pulumi.fresh.yaml"))


@needs_pulumi
def test_nothing_of_a_stack_that_is_forgotten_stays(checkout: Path) -> None:
    for name in ("dev", "dev-2"):
        stack = Stack(name)
        stack.ensure()
        stack.import_state(stack.export())  # leaves a backup
    Stack("dev").remove()
    left = {path.name for path in (checkout / ".state").rglob("*") if path.is_file()}
    assert not [name for name in left if name.partition(".")[0] in ("dev", "Pulumi.dev")]
    assert "dev-2.json" in left
    assert "Pulumi.dev-2.yaml" in left


@needs_pulumi
def test_a_stack_keeps_the_id_that_it_was_given_before_its_first_update(checkout: Path) -> None:
    stack = Stack("dev")
    assert stack.known_id() == ""
    stack.ensure()
    config = checkout / ".state/config/Pulumi.dev.yaml"
    assert f"mlops-platform:stackId: {stack.stack_id()}" in config.read_text()
    stack.set_tag(ID_TAG, "taken-over")
    assert (Stack("dev").known_id(), Stack("dev").stack_id()) == ("taken-over", "taken-over")


def test_what_was_chosen_at_creation_stays_unless_the_file_says_otherwise(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urn = "urn:pulumi:dev::mlops-platform::"
    cluster = f"{urn}mlops:infra:Cluster$pulumi:providers:kubernetes::cluster-kubernetes"
    resources = [
        {"type": stack_identity.TYPE, "urn": f"{urn}identity", "id": "abc"},
        {
            "type": "pulumi:providers:aws",
            "urn": f"{urn}pulumi:providers:aws::account-aws",
            "inputs": {"region": "eu-west-1"},
        },
        {
            "type": "pulumi:providers:kubernetes",
            "urn": cluster,
            "inputs": {"clusterIdentifier": "uid"},
        },
    ]
    deployment = {"deployment": {"resources": resources}}
    monkeypatch.setattr(Stack, "export", lambda _self, **_options: deployment)
    monkeypatch.setattr(Stack, "exists", lambda _self: True)
    monkeypatch.setattr(Stack, "tags", lambda _self: {})
    config = checkout / ".state/config/Pulumi.dev.yaml"
    (checkout / "Pulumi.dev.yaml").write_text("# nothing\n")
    Stack("dev").ensure()
    assert yaml.safe_load(config.read_text())["config"] == {
        "mlops-platform:stackId": "abc",
        "mlops-platform:awsRegion": "eu-west-1",
        "mlops-platform:clusterIdentifier": "uid",
    }
    (checkout / "Pulumi.dev.yaml").write_text("config:\n  mlops-platform:awsRegion: us-west-2\n")
    Stack("dev").ensure()
    assert "mlops-platform:awsRegion: us-west-2" in config.read_text()


def test_without_pulumi_the_remedy_is_named(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(layout, "bin_dir", lambda: tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(PulumiError, match="run `make toolchain`"):
        Stack("dev").exists()


def test_the_passphrase_is_private_and_stays(checkout: Path) -> None:
    first = environment.passphrase_file()
    text = first.read_text()
    assert len(text) >= 40
    assert first.stat().st_mode & 0o777 == 0o600
    assert environment.passphrase_file().read_text() == text
    assert list(first.parent.iterdir()) == [first]


def _local_stack(checkout: Path, name: str) -> Path:
    folder = checkout / ".state/pulumi/.pulumi/stacks/mlops-platform"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text("{}")
    return file


def test_a_state_of_this_checkout_is_found_without_pulumi_and_one_elsewhere_is_not(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stack, "names", classmethod(lambda _: []))
    stack = Stack("dev")
    assert not stack.exists()
    _local_stack(checkout, "dev")
    assert stack.exists()
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://elsewhere")
    assert not Stack("dev").exists()


def test_a_command_reads_state_and_tags_of_its_stack_once(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(_self: Stack, *words: str, **_options: object) -> str:
        asked.append(" ".join(words[:3]))
        return "{}"

    (checkout / "Pulumi.dev.yaml").write_text(CONFIG)
    stack = Stack("dev")
    _local_stack(checkout, "dev")
    monkeypatch.setattr(Stack, "_capture", answer)
    stack.ensure()
    assert asked == ["stack export --stack", "stack tag ls"]


@pytest.mark.parametrize("left", [None, "", " \n"])
def test_a_lost_passphrase_is_not_replaced_beside_stacks_that_need_it(
    checkout: Path, left: str | None
) -> None:
    state = _local_stack(checkout, "dev")
    file = checkout / ".state/passphrase"
    if left is not None:
        file.write_text(left)
    with pytest.raises(PassphraseError, match=r"secrets of stack dev .* bring the file back"):
        environment.variables()
    assert file.exists() is (left is not None)
    state.unlink()
    assert len(environment.passphrase_file().read_text()) >= 40


def test_an_empty_passphrase_is_refused(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    with pytest.raises(PassphraseError, match="nothing would be encrypted: unset it"):
        environment.variables()


def test_the_state_is_closed_to_others_also_when_it_was_open(checkout: Path) -> None:
    folder = checkout / ".state"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    environment.variables()
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("s3://bucket/folder?region=eu", "s3://bucket/folder"),
        ("postgres://user:word@db.example/states", "postgres://db.example/states"),
        ("https://api.pulumi.com", "https://api.pulumi.com"),
    ],
)
def test_the_backend_is_named_without_credentials(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, given: str, shown: str
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", given)
    assert environment.backend() == shown


def test_commands_at_once_read_the_same_passphrase(checkout: Path) -> None:
    workers = 8
    barrier = threading.Barrier(workers)

    def read(_number: int) -> str:
        barrier.wait()
        return environment.passphrase_file().read_text()

    with ThreadPoolExecutor(workers) as pool:
        (only,) = set(pool.map(read, range(workers)))
    assert only


def test_the_users_own_variables_stay(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://elsewhere")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "mine")
    variables = environment.variables()
    assert variables["PULUMI_BACKEND_URL"] == "s3://elsewhere"
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in variables
    assert not (checkout / ".state/passphrase").exists()


def test_an_empty_variable_counts_as_not_set(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", "")
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    variables = environment.variables()
    assert variables["PULUMI_BACKEND_URL"] == f"file://{checkout}/.state/pulumi?metadata=skip"
    assert variables["PULUMI_CONFIG_PASSPHRASE_FILE"] == f"{checkout}/.state/passphrase"


def test_the_tools_are_first_on_the_path_and_once(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = str(layout.bin_dir())
    monkeypatch.setenv("PATH", f"/usr/bin:{tools}:/bin")
    assert environment.variables()["PATH"] == f"{tools}:/usr/bin:/bin"


def test_a_shell_has_the_projects_commands_and_uv(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    for version in ("0.1.0", "0.2.0"):
        (cache / "uv" / version / "bin").mkdir(parents=True)
        os.utime(cache / "uv" / version / "bin", (1, 10 if version == "0.2.0" else 5))
    monkeypatch.setenv("MLOPS_CACHE", str(cache))
    monkeypatch.setenv("PATH", f"/usr/bin:{checkout}/.venv/bin")
    done = subprocess.run(
        ["/bin/sh", "-c", f'{environment.shell_exports()}\n/usr/bin/printf %s "$PATH"'],
        capture_output=True,
        text=True,
        check=True,
    )
    tools, venv = layout.bin_dir(), checkout / ".venv/bin"
    assert done.stdout == f"{tools}:{venv}:{cache}/uv/0.2.0/bin:/usr/bin"


def test_the_exports_survive_a_shell(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", "/it's $HOME; `here`")
    script = f'{environment.shell_exports()}\nprintf "%s\\n%s" "$PULUMI_HOME" "$PULUMI_BACKEND_URL"'
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == [
        "/it's $HOME; `here`",
        f"file://{checkout}/.state/pulumi?metadata=skip",
    ]
