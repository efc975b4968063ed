"""An export before a destroy: whole and on the disk first, of a stack at rest, or nothing goes."""

import gzip
import os
import shutil
import signal
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_infra import object_store
from mlops_stack.backup import archive, at_rest
from mlops_stack.backup.errors import ArchiveError, KeepError
from mlops_stack.backup.export import backup, kept
from mlops_stack.backup.homes import Homes
from mlops_stack.backup.objects import Store
from mlops_stack.backup.policy import Keep
from tests.integration.backup.conftest import World, run_to_a_kill

_POINTS = 10


def _run(name: str, state: str = "Running") -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "annotations": {"pipelines.kubeflow.org/run_name": f"{name} of June"},
        },
        "status": {"phase": state},
    }


def test_nothing_starts_between_the_export_and_the_destroy(world: World, tmp_path: Path) -> None:
    with kept(world.stack, _models(tmp_path)):
        assert world.controllers == "0"
        found, manifest = archive.read(tmp_path / "kept")
        assert [held.key for held in found.objects(manifest)] == ["mlflow/é", "m/1"]
        assert manifest.database.runs == 2
    # The stack is destroyed, and its schedules with it.
    assert world.controllers == "0"
    at_rest.resume_after_a_kill(world.name, "a kubeconfig")
    assert world.controllers == "0"


def test_schedules_go_on_when_the_destroy_fails(world: World, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), kept(world.stack, _models(tmp_path)):
        raise RuntimeError("refused")
    assert world.controllers == "1"
    archive.read(tmp_path / "kept")


def test_a_stack_without_schedules_is_left_alone(world: World, tmp_path: Path) -> None:
    world.has("scheduledworkflows")
    with pytest.raises(RuntimeError), kept(world.stack, _models(tmp_path)):
        raise RuntimeError("refused")
    assert world.controllers == ""


def test_what_a_killed_command_suspended_goes_on_with_the_next(
    world: World, tmp_path: Path
) -> None:
    run_to_a_kill(lambda: _keep(world, tmp_path, then=lambda: os.kill(os.getpid(), signal.SIGKILL)))
    assert world.controllers == "0"
    at_rest.resume_after_a_kill(world.name, "a kubeconfig")
    assert world.controllers == "1"


def test_a_run_that_does_not_end_is_named_and_nothing_is_destroyed(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world.has("workflows", _run("training"))
    wait = at_rest.wait_for_runs
    monkeypatch.setattr(
        at_rest, "wait_for_runs", lambda pods, **given: wait(pods, **{**given, "seconds": 0.2})
    )
    with (
        pytest.raises(KeepError, match=r"1 not finished .* run training of June; wait for them"),
        kept(world.stack, _models(tmp_path)),
    ):
        pytest.fail("it was destroyed")
    assert "waiting for 1 to finish: run training of June" in capsys.readouterr().out
    assert world.controllers == "1"
    assert not (tmp_path / "kept").exists()


def test_a_training_job_counts_until_it_has_ended(world: World) -> None:
    world.has(
        "tfjobs",
        {"kind": "TFJob", "metadata": {"name": "a"}, "status": {}},
        {
            "kind": "PyTorchJob",
            "metadata": {"name": "b"},
            "status": {"conditions": [{"type": "Succeeded", "status": "True"}]},
        },
    )
    with at_rest.of_cluster("a kubeconfig") as pods:
        assert at_rest.unfinished(pods, training="training") == ["TFJob a"]
        assert at_rest.unfinished(pods) == []


@pytest.mark.parametrize(
    "changed",
    ["MLflow's database", "bucket models", "Kubeflow's database", "the home of notebooks/notebook"],
)
def test_a_change_after_the_copy_keeps_the_stack(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    save = Store.save

    def save_and_change(self: Store, *given: Any, **named: Any) -> Any:
        saved = save(self, *given, **named)
        match changed:
            case "bucket models":
                world.s3.put_object(Bucket="models", Key="m/2", Body=b"later")
            case "MLflow's database":
                world.writes_to_mlflow()
            case "Kubeflow's database":
                world.writes_to_kubeflow()
        # Whoever asks a model leaves this; it would hold up every export.
        world.s3.put_object(Bucket="artifacts", Key="predictions/a", Body=b"")
        return saved

    save_home = Homes.save

    def save_home_and_change(self: Homes, *given: Any) -> Any:
        saved = save_home(self, *given)
        if "home" in changed:
            (world.folder / "home/new.ipynb").write_text("")
        return saved

    monkeypatch.setattr(Store, "save", save_and_change)
    monkeypatch.setattr(Homes, "save", save_home_and_change)
    with (
        pytest.raises(KeepError, match=rf"^{changed}.* changed while .* Nothing was destroyed"),
        kept(world.stack, Keep(what="all", folder=tmp_path / "kept")),
    ):
        pytest.fail("it was destroyed")
    assert not (tmp_path / "kept").exists()


def test_everything_is_in_an_export_of_everything(world: World, tmp_path: Path) -> None:
    for body in (b"first", b"second"):
        world.s3.put_object(
            Bucket="models", Key="m/v", Body=body, ContentType="text/plain", Tagging="by=me"
        )
    world.s3.put_object(Bucket="models", Key="m/gone", Body=b"was")
    world.s3.delete_object(Bucket="models", Key="m/gone")
    world.s3.create_bucket(Bucket="of-a-user")
    world.s3.put_object(Bucket="of-a-user", Key="x", Body=b"x", ContentEncoding="gzip")
    with kept(world.stack, Keep(what="all", folder=tmp_path / "kept")):
        found, manifest = archive.read(tmp_path / "kept")
    objects = list(found.objects(manifest))
    versions = [o for o in objects if o.key == "m/v"]
    assert [found.object(o.content).read_bytes() for o in versions if o.content] == [
        b"first",
        b"second",
    ]
    assert versions[-1].tags == {"by": "me"}
    assert [o.content and o.content.bytes for o in objects if o.key == "m/gone"] == [3, None]
    assert [o.headers for o in objects if o.bucket == "of-a-user"] == [{"ContentEncoding": "gzip"}]
    assert manifest.index
    assert manifest.index.versioned == ("models",)
    assert manifest.kubeflow
    assert manifest.kubeflow.counts["runs"] == 2
    assert gzip.decompress(found.kubeflow.read_bytes()).startswith(b"a run")
    (home,) = manifest.homes
    with tarfile.open(found.home(home)) as tar:
        assert tar.getnames() == ["latest", "work ü.ipynb"]
    # The Pod that reads the home goes.
    assert world.commands[-1].startswith("delete pod") or "delete pod" in "".join(world.commands)
    assert "a secret" not in "".join(world.commands)


def test_a_dump_that_breaks_off_is_none(world: World, tmp_path: Path) -> None:
    (world.folder / "kubeflow.sql").write_text("a run\n")
    with (
        pytest.raises(KeepError, match="the dump of Kubeflow's database broke off"),
        kept(world.stack, Keep(what="all", folder=tmp_path / "kept")),
    ):
        pytest.fail("it was destroyed")
    assert not (tmp_path / "kept").exists()


def test_an_image_without_the_program_is_told_with_the_remedy(world: World, tmp_path: Path) -> None:
    (world.folder / "mariadb-dump").unlink()
    with (
        pytest.raises(KeepError, match=r"its Pod has no mariadb-dump.*`make up` brings"),
        kept(world.stack, Keep(what="all", folder=tmp_path / "kept")),
    ):
        pytest.fail("it was destroyed")


def test_a_backup_leaves_the_stack_as_it_was(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world.has("workflows", _run("training"))
    suspended: list[str] = []
    save = Store.save
    monkeypatch.setattr(
        Store,
        "save",
        lambda *given, **named: suspended.append(world.controllers) or save(*given, **named),
    )
    monkeypatch.setattr(World, "outputs", _with_mlflow(World.outputs))
    backup(world.stack, tmp_path / "kept")
    # Not for as long as the objects take.
    assert suspended == ["1"]
    _, manifest = archive.read(tmp_path / "kept")
    assert (manifest.kept, manifest.database.runs) == ("all", 2)
    assert "1 not finished, and so in the backup: run training of June" in capsys.readouterr().out


def _with_mlflow(outputs: Callable[[World], dict[str, Any]]) -> Callable[[World], dict[str, Any]]:
    return lambda world: {**outputs(world), "mlflow_url": "http://127.0.0.1:1"}


def test_a_cluster_that_does_not_tell_of_its_runs_keeps_the_stack(
    world: World, tmp_path: Path
) -> None:
    world.refuses("get")
    with pytest.raises(KeepError, match="Forbidden"), kept(world.stack, _models(tmp_path)):
        pytest.fail("it was destroyed")


def test_files_and_folders_are_on_the_disk_before_the_manifest_has_its_name(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kept"
    done: list[str] = []
    sync, rename = os.fsync, Path.rename

    def note_sync(descriptor: int) -> None:
        done.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    def note_rename(self: Path, target: Path) -> Path:
        done.append(f"rename to {Path(target).name}")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "rename", note_rename)
    with kept(world.stack, _models(tmp_path)):
        named = done.index("rename to manifest.json")
        before, after = set(done[:named]), done[named + 1 :]
    files = {str(path) for path in folder.rglob("*")} - {str(folder / "manifest.json")}
    assert len(files) == 5
    assert files | {str(folder), str(folder / "manifest.json.part")} <= before
    assert [str(folder), str(tmp_path)] == after[:2]


def test_harm_on_the_way_to_the_disk_keeps_the_stack(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def harm(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.parent.name == "objects" and path.stat().st_size:
            path.write_bytes(b"not this")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", harm)
    with (
        pytest.raises(ArchiveError, match=r"is not what was exported.*Nothing was destroyed"),
        kept(world.stack, _models(tmp_path)),
    ):
        pytest.fail("it was destroyed")


def test_killed_at_any_point_nothing_is_destroyed_before_a_whole_export_is_there(
    world: World, tmp_path: Path
) -> None:
    """Each point is the begin of a program, or of a file's opening, renaming or removal.

    What a killed process leaves is what the disk holds at that point: one export is enough for all.
    """
    # Small, for it is copied at each point.
    object_store.empty_bucket(world.s3, "models")
    world.s3.put_object(Bucket="models", Key="m/1", Body=b"a model")
    where, points = tmp_path / "export", tmp_path / "points"
    where.mkdir()

    def watched() -> None:
        _at_each_step(where, lambda step: shutil.copytree(where, points / f"{step:04}"))
        _keep(world, where, then=(where / "destroyed").touch, what="all")

    run_to_a_kill(watched)
    assert (where / "destroyed").exists()
    left = sorted(points.iterdir())
    assert len(left) > _POINTS
    outcomes = [_is_whole(point) for point in left]
    # The last one is the destroy itself.
    assert (outcomes[0], outcomes[-1]) == (False, True)
    assert sorted(outcomes) == outcomes

    # A process that is killed leaves that, and nothing happens after it.
    middle = len(left) // 2
    where = tmp_path / "killed"
    where.mkdir()

    def killed() -> None:
        _at_each_step(where, lambda step: step == middle and os.kill(os.getpid(), signal.SIGKILL))
        _keep(world, where, then=(where / "destroyed").touch, what="all")

    run_to_a_kill(killed)
    assert _is_whole(where) is outcomes[middle - 1]
    assert _names(where) == _names(left[middle - 1])


def _is_whole(where: Path) -> bool:
    """Return whether an export is there; one that is not is refused, and nothing is destroyed."""
    assert not (where / "destroyed").exists()
    whole = (where / "kept/manifest.json").exists()
    if whole:
        archive.read(where / "kept")
    else:
        with pytest.raises(ArchiveError, match="is no finished export"):
            archive.read(where / "kept")
    return whole


def _names(where: Path) -> set[str]:
    return {str(path.relative_to(where)) for path in where.rglob("*")}


def _models(where: Path) -> Keep:
    return Keep(what="models", folder=where / "kept")


def _keep(world: World, where: Path, *, then: Callable[[], Any], what: str = "models") -> None:
    with kept(world.stack, Keep(what=what, folder=where / "kept")):
        then()


def _at_each_step(below: Path, do: Callable[[int], object]) -> None:
    """Let this process do something before each of its steps, which are numbered from 1."""
    events = ("open", "os.rename", "os.remove", "os.mkdir", "subprocess.Popen")
    steps, doing = 0, False

    def step(event: str, given: tuple[Any, ...]) -> None:
        nonlocal steps, doing
        if doing or event not in events:
            return
        if event != "subprocess.Popen" and not str(given[0]).startswith(str(below)):
            return
        steps += 1
        doing = True
        do(steps)
        doing = False

    sys.addaudithook(step)
