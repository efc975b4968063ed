"""Environments that expire: names, times, templates, and reaping with the real Pulumi backend."""

import datetime
import fcntl
import json
import time
from pathlib import Path

import pytest

from mlops_stack import environments
from mlops_stack.lifetime import check_name, parse_ttl, shown
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.settings import SettingsError
from mlops_toolchain import layout

PULUMI = layout.bin_dir() / "pulumi"
needs_pulumi = pytest.mark.skipif(
    not PULUMI.exists(), reason="needs the toolchain's pulumi; run `make toolchain`"
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout and backend of its own."""
    for name in ("PULUMI_BACKEND_URL", "KEEP", "RESTORE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "Pulumi.yaml").write_text("name: mlops-platform\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  mlops-platform:ephemeral: true\n")
    if PULUMI.exists():
        (tmp_path / ".toolchain").mkdir()
        (tmp_path / ".toolchain/bin").symlink_to(layout.bin_dir())
    monkeypatch.setattr(layout, "checkout", lambda: tmp_path)
    return tmp_path


def _tagged(name: str, *, left: float, provider: str = "kind", host: str = "") -> Stack:
    """Return an environment of the backend without resources, which `left` seconds remain."""
    stack = Stack(name, template="dev")
    stack.ensure()
    values = {"expires": time.time() + left, "created": time.time() - 60, "provider": provider}
    for key, value in {**values, "host": host, "template": "dev", "state": "up"}.items():
        if value != "":
            stack.set_tag(f"mlops:{key}", str(value))
    return stack


@pytest.mark.parametrize(
    ("text", "minutes"), [("10m", 10), ("4h", 240), ("2d", 2880), ("14d", 20160)]
)
def test_a_time_to_live_is_read(text: str, minutes: int) -> None:
    assert parse_ttl(text) == datetime.timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["", "4", "h", "-1h", "4 h", "1w", "9m", "15d", "0h", "1.5h"])
def test_another_time_to_live_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(SettingsError, match=r"write for example|choose between"):
        parse_ttl(text)


@pytest.mark.parametrize("name", ["dev", "production", "Pr-1", "", "../x", "a" * 41])
def test_a_protected_or_impossible_name_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=r"choose another NAME|use at most"):
        check_name(name)


def test_seconds_are_shown_in_two_units() -> None:
    assert [shown(s) for s in (59, 3900, 90000, -720)] == ["0m", "1h05m", "1d01h", "-12m"]


def test_a_template_must_exist_and_be_ephemeral(checkout: Path) -> None:
    with pytest.raises(SettingsError, match=r"there is no Pulumi.other.yaml"):
        environments.template_provider("other")
    (checkout / "Pulumi.kept.yaml").write_text("config:\n  mlops-platform:modelName: a\n")
    with pytest.raises(SettingsError, match="protected"):
        environments.template_provider("kept")
    assert environments.template_provider("dev") == "embedded"


def test_a_lasting_stack_is_refused_before_anything_is_changed(checkout: Path) -> None:
    (checkout / "Pulumi.team.yaml").write_text("config: {}\n")
    with pytest.raises(SettingsError, match="lasting stack"):
        environments.create("team", "4h", "dev")
    assert not (checkout / ".state").exists()


def test_keeping_data_is_refused_rather_than_ignored(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEEP", "models")
    monkeypatch.setattr("sys.argv", ["environments", "reap"])
    assert environments.main() == 1
    assert "Nothing was changed" in capsys.readouterr().err


@needs_pulumi
def test_only_the_expired_environment_is_reaped(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _tagged("pr-1", left=-60)
    _tagged("pr-2", left=3600)
    Stack("lasting").ensure()
    assert [e.name for e in environments.found()] == ["pr-1", "pr-2"]
    assert environments.reap()
    assert set(Stack.names()) == {"pr-2", "lasting"}
    capsys.readouterr()
    environments.show(as_json=True)
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["state"]) == ("pr-2", "up")


@needs_pulumi
def test_one_that_resists_does_not_save_the_others_and_is_retried(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _tagged("pr-1", left=-60)
    _tagged("pr-2", left=-60)
    run = Stack.run

    def fails(stack: Stack, *arguments: str) -> None:
        if stack.name == "pr-1":
            raise PulumiError("a volume is still attached")
        run(stack, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Stack, "run", fails)
        assert not environments.reap()
    assert "pr-1 resists: a volume is still attached" in capsys.readouterr().err
    assert [(e.name, e.state) for e in environments.found()] == [("pr-1", "failed")]
    assert environments.reap()
    assert Stack.names() == []


@needs_pulumi
def test_a_second_reaper_and_another_machine_leave_it_alone(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _tagged("pr-1", left=-60)
    _tagged("pr-2", left=-60, provider="embedded", host="elsewhere")
    lock = checkout / ".state/environments/pr-1.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert environments.reap()
    text = capsys.readouterr().out
    assert "pr-1 is being created or reaped" in text
    assert "pr-2 lives on elsewhere" in text
    assert set(Stack.names()) == {"pr-1", "pr-2"}
