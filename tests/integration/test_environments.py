"""Environments that expire: names, times, templates, and reaping with the real Pulumi backend."""

import datetime
import json
import re
import shutil
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from mlops_stack import environment
from mlops_stack.environments import clock, creation, listing, reaping, records
from mlops_stack.environments.__main__ import main
from mlops_stack.environments.records import Environment
from mlops_stack.environments.templates import template_settings
from mlops_stack.lifetime import check_name, parse_ttl, shown
from mlops_stack.locks import stack_lock
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.settings import PROJECT, SettingsError
from mlops_toolchain import layout

PULUMI = layout.bin_dir() / "pulumi"
needs_pulumi = pytest.mark.skipif(
    not PULUMI.exists(), reason="needs the toolchain's pulumi; run `make toolchain`"
)


def _make_checkout(folder: Path, patch: pytest.MonkeyPatch) -> None:
    for name in ("PULUMI_BACKEND_URL", "KEEP", "RESTORE"):
        patch.delenv(name, raising=False)
    (folder / "Pulumi.yaml").write_text("name: mlops-platform\nruntime: python\n")
    (folder / "Pulumi.dev.yaml").write_text("config:\n  mlops-platform:ephemeral: true\n")
    if PULUMI.exists():
        (folder / ".toolchain").mkdir()
        (folder / ".toolchain/bin").symlink_to(layout.bin_dir())
    patch.setattr(layout, "checkout", lambda: folder)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout and backend of its own."""
    _make_checkout(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the states of a checkout that has made one environment as a command makes it."""
    with pytest.MonkeyPatch.context() as patch:
        _make_checkout(tmp_path_factory.mktemp("checkout"), patch)
        stack = Stack("original", template="dev")
        stack.ensure()
        records.write(stack, expires="0")
        return environment.state_dir()


@pytest.fixture
def tagged(original: Path, checkout: Path) -> Callable[..., Stack]:
    """Return a maker of environments without resources, which `left` seconds remain.

    Each is a copy of the original's files: Pulumi takes seconds to make one.
    """
    shutil.copy(original / "passphrase", environment.state_dir() / "passphrase")

    def make(name: str, *, left: float, **tags: str) -> Stack:
        tags = {
            "expires": str(time.time() + left),
            "created": str(time.time() - 60),
            "provider": "kind",
            "template": "dev",
            "state": "up",
            **tags,
        }
        folder = environment.local_stacks() / PROJECT
        folder.mkdir(parents=True, exist_ok=True)
        files = original / folder.relative_to(environment.state_dir())
        state = (files / "original.json").read_text()
        (folder / f"{name}.json").write_text(state.replace("/original", f"/{name}"))
        kept = json.loads((files / "original.pulumi-tags").read_text())
        assert kept["tags"] == {"mlops:expires": "0"}
        kept["tags"] = {f"mlops:{key}": value for key, value in tags.items()}
        (folder / f"{name}.pulumi-tags").write_text(json.dumps(kept))
        return Stack(name, template="dev")

    return make


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
        template_settings("other")
    (checkout / "Pulumi.kept.yaml").write_text("config:\n  mlops-platform:modelName: a\n")
    with pytest.raises(SettingsError, match="protected"):
        template_settings("kept")
    assert template_settings("dev").cluster_provider == "embedded"


def test_a_lasting_stack_is_refused_before_anything_is_changed(checkout: Path) -> None:
    (checkout / "Pulumi.team.yaml").write_text("config: {}\n")
    with pytest.raises(SettingsError, match="lasting stack"):
        creation.create("team", "4h", "dev")
    assert not (checkout / ".state").exists()


def test_something_else_to_keep_is_refused_before_anything_is_changed(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["reap"], ["create", "--name", "pr-1", "--ttl", "4h"]):
        monkeypatch.setattr("sys.argv", ["environments", *command, "--keep", "logs"])
        assert main() == 1
        assert "KEEP=logs: there is no such thing to keep" in capsys.readouterr().err
    assert not (checkout / ".state").exists()


def test_an_export_that_is_none_is_refused_before_anything_is_changed(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["create", "--name", "pr-1", "--ttl", "4h", "--restore", str(checkout)]
    monkeypatch.setattr("sys.argv", ["environments", *words])
    assert main() == 1
    assert "is no finished export" in capsys.readouterr().err
    assert not (checkout / ".state").exists()


@pytest.mark.parametrize(
    ("made", "ends", "kept", "expired"),
    [
        (-7200, -60, False, True),
        (-7200, 60, False, False),
        # The clock is behind, or was ahead when the environment was made.
        (3600, 7200, True, False),
        # A jump at boot, and a machine that was off for a week with its clock in order.
        (-700000, -600000, False, False),
        (-700000, -600000, True, True),
        # Somebody has set the end by hand.
        (-60, -1000000, False, True),
    ],
)
def test_a_clock_that_cannot_be_believed_reaps_nothing(
    monkeypatch: pytest.MonkeyPatch, made: int, ends: int, *, kept: bool, expired: bool
) -> None:
    monkeypatch.setattr(clock, "is_kept", lambda: kept)
    now = time.time()
    found = Environment(
        name="pr-1",
        provider="embedded",
        template="dev",
        host="",
        keep="",
        state="up",
        created=now + made,
        expires=now + ends,
    )
    assert found.expired is expired
    if not expired and ends != 60:
        assert "`make down STACK=pr-1`" in (found.problem or "")


@needs_pulumi
def test_only_the_expired_environment_is_reaped(
    tagged: Callable[..., Stack], capsys: pytest.CaptureFixture[str]
) -> None:
    tagged("pr-1", left=-60)
    tagged("pr-2", left=3600)
    Stack("lasting").ensure()
    assert [e.name for e in records.found()] == ["pr-1", "pr-2"]
    assert reaping.reap()
    assert set(Stack.names()) == {"pr-2", "lasting"}
    capsys.readouterr()
    listing.show(as_json=True)
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["state"]) == ("pr-2", "up")


@needs_pulumi
def test_one_that_resists_does_not_save_the_others_and_is_retried(
    tagged: Callable[..., Stack],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tagged("pr-1", left=-60)
    tagged("pr-2", left=-60)
    run = Stack.run

    def fails(stack: Stack, *arguments: str) -> None:
        if stack.name == "pr-1":
            raise PulumiError("a volume is still attached")
        run(stack, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Stack, "run", fails)
        assert not reaping.reap()
    assert "pr-1 resists: a volume is still attached" in capsys.readouterr().err
    assert [(e.name, e.state) for e in records.found()] == [("pr-1", "failed")]
    assert reaping.reap()
    assert Stack.names() == []


@needs_pulumi
def test_a_second_reaper_and_another_machine_leave_it_alone(
    tagged: Callable[..., Stack], capsys: pytest.CaptureFixture[str]
) -> None:
    tagged("pr-1", left=-60)
    tagged("pr-2", left=-60, provider="embedded", host="elsewhere")
    with stack_lock("pr-1", "make down"):
        assert reaping.reap()
    text = capsys.readouterr().out
    assert re.search(r"`make down` \(process \d+, since [\d:]+\) works on stack pr-1", text)
    assert "pr-2 lives on elsewhere" in text
    assert set(Stack.names()) == {"pr-1", "pr-2"}


@needs_pulumi
def test_one_that_was_made_anew_meanwhile_is_not_reaped(
    tagged: Callable[..., Stack], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = tagged("pr-1", left=-60)
    seen = records.found()
    # Another reaper destroys it, and somebody makes one of that name.
    records.write(stack, expires=str(time.time() + 3600))
    monkeypatch.setattr(records, "found", lambda: seen)
    assert reaping.reap()
    assert Stack.names() == ["pr-1"]


@needs_pulumi
def test_those_whose_expiry_cannot_be_read_are_shown_named_and_left_alone(
    tagged: Callable[..., Stack], capsys: pytest.CaptureFixture[str]
) -> None:
    unreadable = {"pr-1": "soon", "pr-2": "nan", "pr-3": "inf", "pr-4": ""}
    for name, expires in unreadable.items():
        tagged(name, left=3600, expires=expires)
    tagged("pr-5", left=-60)
    assert not listing.show(as_json=False)
    printed = capsys.readouterr()
    lines = [line.split("\t") for line in printed.out.splitlines()]
    assert [line[0] for line in lines] == ["NAME", *unreadable, "pr-5"]
    assert [line[3] for line in lines[1:5]] == ["unreadable"] * 4
    assert not reaping.reap()
    again = capsys.readouterr().err
    for name, expires in unreadable.items():
        assert f"{name}: tag expires={expires!r} is no time" in printed.err
        assert f"{name}: tag expires={expires!r} is no time" in again
    assert set(Stack.names()) == set(unreadable)


@needs_pulumi
def test_the_one_that_ends_first_comes_first(
    tagged: Callable[..., Stack], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, left in (("pr-1", 7200), ("pr-2", 60), ("pr-3", 3600)):
        tagged(name, left=left)
    assert listing.show(as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["NAME", "pr-2", "pr-3", "pr-1"]
    assert lines[1].split("\t")[1:] == ["kind", "1m", "0m", "–", "up"]  # noqa: RUF001


@needs_pulumi
def test_commands_on_an_environment_find_its_template(
    checkout: Path, tagged: Callable[..., Stack]
) -> None:
    (checkout / "Pulumi.eks.yaml").write_text(
        "config:\n  mlops-platform:clusterProvider: eks\n  mlops-platform:owner: a@example.org\n"
        "  mlops-platform:awsRegion: eu-west-1\n  mlops-platform:ephemeral: true\n"
        "  mlops-platform:layers: infra\n"
    )
    tagged("pr-1", left=60)
    records.write(Stack("pr-1"), template="eks")
    stack = Stack("pr-1")
    assert stack.aws_region() == "eu-west-1"
    assert stack.settings().owner == "a@example.org"
    stack.ensure(pipelineRun="false")
    written = (checkout / ".state/config/Pulumi.pr-1.yaml").read_text()
    assert "mlops-platform:clusterProvider: eks" in written
    assert "mlops-platform:pipelineRun: 'false'" in written
    (checkout / "Pulumi.eks.yaml").unlink()
    with pytest.raises(PulumiError, match=r"made from Pulumi.eks.yaml, which this checkout does"):
        Stack("pr-1").ensure()


def test_cost_so_far_counts_from_each_resources_birth() -> None:
    day, month = 86400.0, 730 * 3600.0
    now = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC).timestamp()
    resources = [
        _deployed("aws:kms/key:Key", "key", now - month),
        _deployed("aws:ec2/natGateway:NatGateway", "nat", now - day),
        _deployed("aws:ec2/vpc:Vpc", "vpc", now - month),
        {"type": "mlops:infra:Cluster", "urn": "urn:pulumi:s::p::mlops:infra:Cluster::c"},
    ]
    # One month of a key at $1.00, and one day of a gateway at $0.045 an hour.
    assert round(listing.cost_so_far(resources, now), 2) == Decimal("2.08")


def _deployed(kind: str, name: str, made: float) -> dict[str, object]:
    """Return a resource as Pulumi's state holds it."""
    created = datetime.datetime.fromtimestamp(made, datetime.UTC).isoformat()
    urn = f"urn:pulumi:pr-1::mlops-platform::{kind}::{name}"
    return {"type": kind, "urn": urn, "inputs": {}, "created": created}
