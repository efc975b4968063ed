"""An export before a destroy: whole and on the disk first, of a stack at rest, or nothing goes."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_stack.keeping import archive, at_rest
from mlops_stack.keeping.errors import ArchiveError, KeepError
from mlops_stack.keeping.export import kept
from mlops_stack.keeping.objects import Store
from tests.unit.stack.keeping.conftest import World

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
    with kept(world.stack, tmp_path / "kept"):
        assert world.controllers == "0"
        _, manifest = archive.read(tmp_path / "kept")
        assert [found.key for found in manifest.objects] == ["mlflow/é", "m/1"]
        assert manifest.database.runs == 2
    # The stack is destroyed, and its schedules with it.
    assert world.controllers == "0"
    at_rest.resume_after_a_kill(world.name, "a kubeconfig")
    assert world.controllers == "0"


def test_schedules_go_on_when_the_destroy_fails(world: World, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), kept(world.stack, tmp_path / "kept"):
        raise RuntimeError("refused")
    assert world.controllers == "1"
    archive.read(tmp_path / "kept")


def test_a_stack_without_schedules_is_left_alone(world: World, tmp_path: Path) -> None:
    world.has("scheduledworkflows")
    with pytest.raises(RuntimeError), kept(world.stack, tmp_path / "kept"):
        raise RuntimeError("refused")
    assert world.controllers == ""


def test_what_a_killed_command_suspended_goes_on_with_the_next(
    world: World, tmp_path: Path
) -> None:
    _killed(lambda: _keep(world, tmp_path, then=lambda: os.kill(os.getpid(), signal.SIGKILL)))
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
        kept(world.stack, tmp_path / "kept"),
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


@pytest.mark.parametrize("changed", ["MLflow's database", "bucket models"])
def test_a_change_after_the_copy_keeps_the_stack(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    save = Store.save

    def save_and_change(self: Store, target: archive.Archive) -> Any:
        saved = save(self, target)
        if changed == "bucket models":
            world.s3.put_object(Bucket="models", Key="m/2", Body=b"later")
        else:
            world.writes_to_mlflow()
        # Whoever asks a model leaves this; it would hold up every export.
        world.s3.put_object(Bucket="artifacts", Key="predictions/a", Body=b"")
        return saved

    monkeypatch.setattr(Store, "save", save_and_change)
    with (
        pytest.raises(KeepError, match=rf"^{changed} changed while .* Nothing was destroyed"),
        kept(world.stack, tmp_path / "kept"),
    ):
        pytest.fail("it was destroyed")
    assert not (tmp_path / "kept").exists()


def test_a_cluster_that_does_not_tell_of_its_runs_keeps_the_stack(
    world: World, tmp_path: Path
) -> None:
    world.refuses("get")
    with pytest.raises(KeepError, match="Forbidden"), kept(world.stack, tmp_path / "kept"):
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
    with kept(world.stack, folder):
        named = done.index("rename to manifest.json")
        before, after = set(done[:named]), done[named + 1 :]
    files = {str(path) for path in folder.rglob("*")} - {str(folder / "manifest.json")}
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
        kept(world.stack, tmp_path / "kept"),
    ):
        pytest.fail("it was destroyed")


def test_killed_at_ten_points_nothing_is_destroyed_before_a_whole_export_is_there(
    world: World, tmp_path: Path
) -> None:
    """Each point is the begin of a program, or of a file's opening, renaming or removal."""
    count = multiprocessing.get_context("fork").Value("i", 0)

    def counted(where: Path, at: int = 0) -> None:
        _kill_at(count, at, where)
        _keep(world, where, then=(where / "destroyed").touch)

    (tmp_path / "whole").mkdir()
    _killed(lambda: counted(tmp_path / "whole"))
    assert (tmp_path / "whole/destroyed").exists()
    total, outcomes = count.value, []
    assert total > _POINTS
    for point in range(1, _POINTS + 1):
        # The last one is the destroy itself.
        at, where = point * total // _POINTS, tmp_path / f"point-{point}"
        where.mkdir()
        count.value = 0
        _killed(lambda at=at, where=where: counted(where, at))
        outcomes.append((where / "kept/manifest.json").exists())
        assert not (where / "destroyed").exists(), f"destroyed at {at} of {total}"
        if outcomes[-1]:
            archive.read(where / "kept")
        else:
            with pytest.raises(ArchiveError, match="is no finished export"):
                archive.read(where / "kept")
    assert outcomes[0] is False
    assert outcomes[-1] is True


def _keep(world: World, where: Path, *, then: Callable[[], Any]) -> None:
    with kept(world.stack, where / "kept"):
        then()


def _kill_at(count: Any, at: int, below: Path) -> None:
    """Let this process be killed at its nth step."""
    events = ("open", "os.rename", "os.remove", "os.mkdir", "subprocess.Popen")

    def step(event: str, given: tuple[Any, ...]) -> None:
        if event not in events:
            return
        if event != "subprocess.Popen" and not str(given[0]).startswith(str(below)):
            return
        count.value += 1
        if count.value == at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(step)


def _killed(work: Callable[[], Any]) -> None:
    """Run work in a process of its own, which may be killed."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL)
