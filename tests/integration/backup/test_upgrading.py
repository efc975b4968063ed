"""Another version of Kubernetes: wherever an upgrade is killed, the data is whole somewhere."""

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from mlops_infra import object_store
from mlops_infra.node import ClusterStatus, Health, NodeSpec, cluster
from mlops_infra.node.layout import STATE_VARIABLE, StateFolder
from mlops_infra.node.state import Phase, Record, read_record
from mlops_stack import down as destroying
from mlops_stack import gone, ownership, stack_images
from mlops_stack import up as updating
from mlops_stack.__main__ import main
from mlops_stack.backup import archive, restore
from mlops_stack.backup.archive import Archive
from mlops_stack.backup.errors import ArchiveError
from mlops_stack.backup.kubeflow_database import KubeflowDatabase
from mlops_stack.backup.mlflow_pod import MlflowPod
from mlops_stack.lasting import DataLossError
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.settings import Settings
from mlops_stack.upgrading import command, record
from mlops_stack.upgrading.record import Upgrade, UpgradeError
from mlops_toolchain import kubernetes
from tests.integration.backup.conftest import Kubeflow, World, run_to_a_kill

OLD, NEW = kubernetes.VERSIONS[0], kubernetes.VERSIONS[-1]
_PREFIX = "urn:pulumi:pr-1::p::"
_CLUSTER = {
    "type": "pulumi-python:dynamic/mlops:EmbeddedCluster",
    "urn": f"{_PREFIX}pulumi-python:dynamic/mlops:EmbeddedCluster::cluster-node",
    "id": "pr-1",
    "inputs": {},
}
_IDENTITY = {
    "type": "pulumi-python:dynamic/mlops:StackIdentity",
    "urn": f"{_PREFIX}pulumi-python:dynamic/mlops:StackIdentity::identity",
    "id": "the id",
}


@dataclass
class Cluster(World):
    """A stack whose data is in a cluster that can be deleted, made and filled."""

    config: dict[str, str] = field(default_factory=dict)
    provided_by: str = "embedded"

    make_argument = " STACK=pr-1"
    from_template = False

    @property
    def asked(self) -> Path:
        return self.folder / "asked.json"

    @property
    def state_file(self) -> Path:
        return self.folder / "state.json"

    @property
    def version(self) -> str | None:
        found = read_record(StateFolder.of(self.name))
        return found.spec.kubernetes_version if found else None

    @property
    def holds_everything(self) -> bool:
        """Return whether a cluster is there with all that the first one had."""
        keys = {
            (bucket, found["Key"])
            for bucket in ("models", "artifacts")
            for found in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        }
        return (
            self.version is not None
            and keys >= {("models", "m/1"), ("artifacts", "mlflow/é")}
            and self.mlflow_runs() >= {"1", "2"}
            and (self.folder / "kubeflow.sql").read_text().count("a run") == 2
            and (self.folder / "home/work ü.ipynb").exists()
        )

    def mlflow_runs(self) -> set[str]:
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as database:
            return {row[0] for row in database.execute("SELECT id FROM runs")}

    def made(self, version: str) -> None:
        """Make a cluster that holds nothing, as the node's program does."""
        self.emptied()
        folder = StateFolder.of(self.name)
        folder.path.mkdir(exist_ok=True)
        spec = NodeSpec(name=self.name, kubernetes_version=version)
        Record(spec=spec, network="10.210.0.0/16", owner="", phase=Phase.READY).write(folder)

    def emptied(self) -> None:
        for bucket in ("artifacts", "models"):
            object_store.empty_bucket(self.s3, bucket)
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as database:
            for table in ("runs", "registered_models", "model_versions"):
                database.execute(f"DELETE FROM {table}")  # noqa: S608
            database.commit()
        (self.folder / "kubeflow.sql").write_text("-- Dump completed\n")
        shutil.rmtree(self.folder / "home", ignore_errors=True)
        (self.folder / "home").mkdir()

    def deleted(self, name: str, **_: str) -> None:
        """Delete the cluster, whose folder is renamed first."""
        folder = StateFolder.of(name).path
        folder.rename(folder.with_name(".deleting"))
        shutil.rmtree(folder.with_name(".deleting"))
        step("inside the deletion")
        self.emptied()

    # What a command asks of the stack

    def exists(self) -> bool:
        return True

    def provider(self) -> str:
        return self.provided_by

    def aws_region(self) -> None:
        return None

    def file(self) -> Path:
        return Path("Pulumi.pr-1.yaml")

    def known_id(self) -> str:
        return "the id"

    def settings(self) -> Settings:
        return Settings.model_validate_strings({"pipelineRun": "false", **self.config})

    def policies(self) -> tuple[str, ...]:
        return ()

    def outputs(self) -> dict[str, Any]:
        return {**super().outputs(), "mlflow_url": "http://127.0.0.1:1", "model_version": "1"}

    def outputs_when_up(self, needed: str) -> dict[str, Any]:
        return {needed: "x", **self.outputs()}

    def resources(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.state_file.read_text())
        return found

    def export(self) -> dict[str, Any]:
        return {"deployment": {"resources": self.resources()}}

    def import_state(self, exported: dict[str, Any]) -> None:
        self.state_file.write_text(json.dumps(exported["deployment"]["resources"]))
        step("the state without the cluster")

    def ensure(self, **values: str) -> None:
        self.asked.write_text(json.dumps(values))

    def run(self, verb: str, *_: str) -> None:
        if verb != "up":
            return
        asked = {"kubernetesVersion": kubernetes.DEFAULT, **json.loads(self.asked.read_text())}
        known = [found for found in self.resources() if found["type"] == _CLUSTER["type"]]
        if not known and self.version is None:
            self.made(asked["kubernetesVersion"])
            step("the new cluster, before the state has it")
        elif self.version is None:
            raise PulumiError("the state has a cluster that is gone")
        self.state_file.write_text(json.dumps([_IDENTITY, _CLUSTER, *World.resources(self)]))
        step("an update")


_POINTS = (
    "before the manifest",
    "the manifest",
    "the note of the upgrade",
    "inside the deletion",
    "the deletion",
    "the state without the cluster",
    "the new cluster, before the state has it",
    "an update",
    "the objects",
    "Kubeflow's database",
    "MLflow's database",
    "the import",
    "the note of the upgrade 2",
    "an update 2",
)
_passed: dict[str, int] = {}
_killed_at = ""


def step(name: str) -> None:
    """Note that a step is done, and end there if this process is to be killed at it."""
    _passed[name] = _passed.get(name, 0) + 1
    count = _passed[name]
    if _killed_at == (name if count == 1 else f"{name} {count}"):
        os.kill(os.getpid(), signal.SIGKILL)


def _stepped(
    change: pytest.MonkeyPatch, owner: Any, name: str, after: str, before: str = ""
) -> None:
    done = getattr(owner, name)

    def do(*given: Any, **named: Any) -> Any:
        if before:
            step(before)
        result = done(*given, **named)
        step(after)
        return result

    change.setattr(owner, name, do)


@pytest.fixture
def held(
    world: World,
    kubeflow: type[Kubeflow],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Cluster:
    """A stack on the oldest version, with data."""
    (tmp_path / "nodes").mkdir()
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "nodes"))
    found = Cluster(world.folder, world.connection, kubeflow_url=world.kubeflow_url)
    folder = StateFolder.of(found.name)
    folder.path.mkdir()
    spec = NodeSpec(name=found.name, kubernetes_version=OLD)
    Record(spec=spec, network="10.210.0.0/16", owner="", phase=Phase.READY).write(folder)
    found.state_file.write_text(json.dumps([_IDENTITY, _CLUSTER, *World.resources(found)]))
    runs = property(lambda _: (found.folder / "kubeflow.sql").read_text().count("a run"))
    monkeypatch.setattr(kubeflow, "runs", runs)

    monkeypatch.setattr(
        cluster,
        "read",
        lambda name: ClusterStatus(
            name=name, health=Health.HEALTHY if found.version else Health.ABSENT
        ),
    )
    monkeypatch.setattr(cluster, "delete", found.deleted)
    monkeypatch.setattr(ownership, "check", lambda _: None)
    monkeypatch.setattr(command, "build", lambda _: None)
    monkeypatch.setattr(updating, "build_for", lambda *_: None)
    monkeypatch.setattr(stack_images, "build_for", lambda *_: None)
    monkeypatch.setattr(stack_images, "configuration", lambda _: {})
    monkeypatch.setattr(updating, "rows", lambda *_: [])
    monkeypatch.setattr(updating, "_plan", lambda *_: None)
    monkeypatch.setattr(restore, "_known_revisions", lambda _: (True, "abc"))
    _passed.clear()
    for owner, name, after, before in (
        (Archive, "finish", "the manifest", "before the manifest"),
        (record, "write", "the note of the upgrade", ""),
        (cluster, "delete", "the deletion", ""),
        (restore, "_load_objects", "the objects", ""),
        (KubeflowDatabase, "restore", "Kubeflow's database", ""),
        (MlflowPod, "replace", "MLflow's database", ""),
        (restore, "restore", "the import", ""),
    ):
        _stepped(monkeypatch, owner, name, after, before)
    return found


def _upgrade(stack: Cluster, **named: str) -> None:
    command.upgrade(cast("Stack", stack), started=0, **named)


def _killed(work: Callable[[], Any], at: str) -> None:
    """Do some work in another process, which is killed after a step."""
    global _killed_at  # noqa: PLW0603 - the other process reads it
    _killed_at = at
    try:
        run_to_a_kill(work)
    finally:
        _killed_at = ""


@pytest.mark.parametrize("point", _POINTS)
def test_wherever_it_is_killed_the_data_is_somewhere_and_the_same_command_ends_it(
    held: Cluster, point: str
) -> None:
    def work() -> None:
        _upgrade(held)
        (held.folder / "ended").touch()

    _killed(work, point)
    assert not (held.folder / "ended").exists(), f"{point} did not come"
    begun = record.read(held.name)
    if not held.holds_everything:
        assert begun
        archive.read(begun.folder)

    _upgrade(held)
    assert held.holds_everything
    assert held.version == NEW
    assert record.read(held.name) is None
    assert _IDENTITY in held.resources()
    # Every copy that was whole is still there.
    if begun:
        archive.read(begun.folder)


def test_nothing_is_deleted_before_the_copy_is_whole_and_noted(
    held: Cluster, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _upgrade(held, to=NEW, keep_to=str(tmp_path / "copy"))
    order = list(_passed)
    assert order.index("the manifest") < order.index("the note of the upgrade")
    assert order.index("the note of the upgrade") < order.index("inside the deletion")
    assert held.holds_everything
    printed = capsys.readouterr().out
    assert f"has Kubernetes {NEW}" in printed
    assert f"still in {tmp_path / 'copy'}" in printed
    # The next update has what the stack's file says, and no version of a command's.
    assert json.loads(held.asked.read_text()) == {}


def test_what_came_between_a_kill_and_the_next_try_is_carried_too(held: Cluster) -> None:
    _killed(lambda: _upgrade(held), "the note of the upgrade")
    begun = record.read(held.name)
    assert begun
    held.writes_to_mlflow()
    _upgrade(held)
    assert held.mlflow_runs() == {"1", "2", "later"}
    archive.read(begun.folder)


def test_a_lasting_stack_is_upgraded_because_the_user_asked(held: Cluster) -> None:
    held.config = {"ephemeral": "false"}
    _upgrade(held)
    assert held.holds_everything
    assert held.version == NEW
    # Without that, a cluster that is gone stays in its state.
    held.deleted(held.name)
    with pytest.raises(DataLossError, match="is gone, with the data"):
        gone.drop(cast("Stack", held))


def test_a_stack_that_hands_out_nothing_keeps_its_cluster(
    held: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    held.state_file.write_text(json.dumps([_IDENTITY, _CLUSTER]))
    with pytest.raises(ArchiveError, match="is no finished export"):
        _upgrade(held)
    assert held.holds_everything
    assert held.version == OLD
    assert "has not ended" not in capsys.readouterr().err


def test_a_cluster_that_has_stopped_is_started_with_the_version_that_it_has(
    held: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The file may name the version that the cluster is to get.
    held.config = {"kubernetesVersion": NEW}
    asked: list[dict[str, str]] = []
    monkeypatch.setattr(Cluster, "ensure", lambda _, **values: asked.append(values))
    monkeypatch.setattr(Cluster, "run", lambda *_: (_ for _ in ()).throw(PulumiError("enough")))
    stopped = ClusterStatus(name=held.name, health=Health.STOPPED)
    monkeypatch.setattr(cluster, "read", lambda _: stopped)
    with pytest.raises(PulumiError, match="enough"):
        _upgrade(held)
    assert asked == [{"kubernetesVersion": OLD}]
    assert held.holds_everything


def test_a_failure_names_the_folder_and_the_command_that_goes_on(
    held: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise PulumiError("no room")

    with monkeypatch.context() as change:
        change.setattr(Cluster, "run", fails)
        with pytest.raises(PulumiError):
            _upgrade(held)
    begun = record.read(held.name)
    assert begun
    told = capsys.readouterr().err
    assert str(begun.folder) in told
    assert "`make upgrade STACK=pr-1` goes on" in told
    with pytest.raises(UpgradeError, match=rf"to Kubernetes {NEW} has not ended: .*make upgrade"):
        _upgrade(held, to="1.99.0")
    _upgrade(held)
    assert held.holds_everything


@pytest.mark.parametrize(
    ("given", "config", "provider", "message"),
    [
        ("1.2.3", {}, "embedded", rf"no Kubernetes 1\.2\.3 .* write TO={OLD} or TO={NEW}"),
        (OLD, {}, "embedded", f"has Kubernetes {OLD} already"),
        (NEW, {}, "eks", "is of clusterProvider eks: set kubernetesVersion, one minor"),
        (NEW, {}, "kind", "is of clusterProvider kind: make a new stack"),
        ("", {"kubernetesVersion": OLD}, "embedded", rf"config set kubernetesVersion {NEW} --st"),
        ("", {"layers": "infra"}, "embedded", "has layers infra, and no data"),
    ],
)
def test_what_cannot_be_is_refused_first(
    held: Cluster, given: str, config: dict[str, str], provider: str, message: str
) -> None:
    held.config, held.provided_by = config, provider
    with pytest.raises(UpgradeError, match=message) as refused:
        _upgrade(held, to=given)
    assert str(refused.value).endswith("Nothing was changed")
    assert held.holds_everything
    assert not _passed


def test_an_older_version_and_no_cluster_are_refused(held: Cluster) -> None:
    held.made(NEW)
    with pytest.raises(UpgradeError, match=rf"{OLD} is older: .*make down STACK=pr-1 KEEP=all"):
        _upgrade(held, to=OLD)
    held.deleted(held.name)
    with pytest.raises(UpgradeError, match=r"has no cluster: `make up STACK=pr-1` makes one"):
        _upgrade(held)


def test_other_commands_wait_until_an_upgrade_has_ended(
    held: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record.write(held.name, Upgrade(before=OLD, after=NEW, folder=Path("/copies/pr-1")))
    for verb in ("up", "run", "train", "backup", "canary", "refresh", "takeover"):
        monkeypatch.setattr("sys.argv", ["mlops_stack", verb, "--stack", held.name])
        assert main() == 1
        told = capsys.readouterr().err
        assert "`make upgrade STACK=pr-1` goes on with it. Its data is in /copies/pr-1" in told


def test_a_destroyed_stack_tells_where_its_data_still_is(
    held: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record.write(held.name, Upgrade(before=OLD, after=NEW, folder=Path("/copies/pr-1")))
    monkeypatch.setattr(Cluster, "exists", lambda _: False)
    monkeypatch.setattr(destroying, "leftovers", lambda _: [])
    assert destroying.down(cast("Stack", held))
    assert "make up RESTORE=/copies/pr-1" in capsys.readouterr().out
    assert record.read(held.name) is None


def test_a_note_that_cannot_be_read_is_told_with_the_remedy(held: Cluster) -> None:
    record.write(held.name, Upgrade(before=OLD, after=NEW, folder=Path("/copies/pr-1")))
    (file,) = (held.folder.parent / "state/upgrading").iterdir()
    file.write_text("{")
    with pytest.raises(UpgradeError, match="remove the file, then"):
        _upgrade(held)
    assert held.holds_everything
