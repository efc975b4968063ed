"""`RESTORE=folder`: the data of an export comes into a stack before its pipeline runs."""

import contextlib
import itertools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from mlops_platform.pipelines.pipelines_api import PipelinesApi, PipelinesApiError
from mlops_stack import environment, report
from mlops_stack.backup import archive as archives
from mlops_stack.backup.archive import Archive, Content, Manifest
from mlops_stack.backup.errors import ArchiveError, KeepError
from mlops_stack.backup.homes import Homes
from mlops_stack.backup.kubeflow_database import KubeflowDatabase
from mlops_stack.backup.mlflow_pod import MlflowPod
from mlops_stack.backup.objects import Store
from mlops_stack.backup.pods import Pods, of_cluster
from mlops_stack.backup.progress import Progress
from mlops_stack.pulumi_cli import Stack

# What Pulumi made in the database that an import replaces.
_IN_KUBEFLOW = (
    "pulumi-python:dynamic/mlops:PipelineVersion",
    "pulumi-python:dynamic/mlops:RecurringRun",
)


def check_revision(manifest: Manifest) -> None:
    """Refuse an export that the pinned MLflow server can neither read nor bring up to date.

    Raises:
        ArchiveError: its tables are of a revision that this version does not know.
    """
    database = manifest.database
    known, head = _known_revisions(database.revision)
    if not known:
        raise ArchiveError(
            f"the export's database is of MLflow {database.mlflow}, revision {database.revision}, "
            f"which this version, of revision {head}, does not know; restore it with the version "
            "that made it, or a later one"
        )


@contextlib.contextmanager
def up_to_date(archive: Archive, manifest: Manifest) -> Iterator[tuple[Path, Content]]:
    """Give the file of MLflow's database with tables of the pinned server's revision.

    An older one is brought up to date as a copy; the export stays as it is.

    Raises:
        ArchiveError: MLflow cannot do that.
    """
    _, head = _known_revisions(manifest.database.revision)
    if manifest.database.revision == head:
        yield archive.database, manifest.database.content
        return
    with tempfile.TemporaryDirectory(dir=environment.state_dir()) as folder:
        copy = Path(folder, "mlflow.db")
        try:
            archives.check_space(copy.parent, 2 * manifest.database.content.bytes)
            shutil.copyfile(archive.database, copy)
        except OSError as error:
            raise ArchiveError(f"{copy} cannot be written ({error.strerror})") from error
        with report.phase(
            f"bring MLflow's database from revision {manifest.database.revision} to {head}"
        ):
            done = subprocess.run(
                [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{copy}"],
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            reason = (done.stderr.strip() or "no reason").splitlines()[-1]
            raise ArchiveError(
                f"MLflow cannot bring the export's database up to date: {reason}; restore it with "
                f"the version that made it (MLflow {manifest.database.mlflow})"
            )
        yield copy, archives.content_of(copy)


def restore(
    stack: Stack,
    archive: Archive,
    manifest: Manifest,
    database: tuple[Path, Content],
    *,
    again: bool = False,
) -> None:
    """Import an export into a stack that holds nothing yet, checksums verified.

    Args:
        stack: the stack, which is up, and whose pipeline has not run.
        archive: the export.
        manifest: what it holds.
        database: MLflow's database as `up_to_date` gives it.
        again: whether the stack is known to hold nothing but what an earlier import of this export
            has brought.

    Raises:
        KeepError: the stack holds data of its own, or does not take it.
        PulumiError: the stack cannot be read.
    """
    outputs = stack.outputs()
    with report.phase(f"restore {archive.folder}"), of_cluster(outputs["kubeconfig"]) as pods:
        store, mlflow = Store(outputs), MlflowPod(pods)
        begun = _Begun(stack.name, archive.folder, manifest)
        _refuse_data(stack.name, outputs, mlflow, manifest, begun=again or begun.is_there())
        begun.note()
        _load_objects(store, archive, manifest)
        if manifest.kubeflow:
            _load_kubeflow(stack, pods, archive, manifest)
        homes = Homes(pods)
        for home in manifest.homes:
            homes.load(archive, home)
        # MLflow's database last: it is what says that the import is done.
        try:
            mlflow.replace(*database)
        finally:
            mlflow.forget()
        if manifest.kubeflow:
            # After everything that their runs may need.
            _make_schedules_again(outputs["kubeflow_url"], set(manifest.kubeflow.stack_schedules))
        begun.forget()
    found = manifest.database
    report.plain(
        f"  {found.model_versions} model versions, {found.runs} runs, "
        f"{manifest.object_count} objects, all checksums as exported"
    )


def _refuse_data(
    stack: str, outputs: dict[str, Any], mlflow: MlflowPod, manifest: Manifest, *, begun: bool
) -> None:
    """Refuse a stack with data of its own, which an import would replace.

    Raises:
        KeepError: it has.
    """
    held, database = mlflow.describe(), manifest.database
    counted = ("models", "model_versions", "runs")
    # An interrupted import may have ended all but this command.
    same = all(held[key] == getattr(database, key) for key in counted)
    if (held["runs"] or held["models"]) and not same:
        raise KeepError(
            f"stack {stack} holds {held['models']} models and {held['runs']} runs of "
            "its own, which an import would replace; restore into a new stack"
        )
    if not manifest.kubeflow or begun:
        return
    try:
        runs = PipelinesApi(outputs["kubeflow_url"]).run_count()
    except PipelinesApiError as error:
        raise KeepError(str(error)) from error
    if runs:
        raise KeepError(
            f"stack {stack} holds {runs} runs of Kubeflow of its own, which an import would "
            "replace; restore into a new stack"
        )


class _Begun:
    """A word that the import of an export has begun: what a stack then holds is not its own."""

    def __init__(self, stack: str, folder: Path, manifest: Manifest) -> None:
        self._file = environment.state_dir() / "restoring" / stack
        self._text = f"{folder}\n{manifest.database.content.sha256}\n"

    def is_there(self) -> bool:
        return self._file.exists() and self._file.read_text() == self._text

    def note(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(self._text)

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)


def _load_objects(store: Store, archive: Archive, manifest: Manifest) -> None:
    index = manifest.index
    stays: set[str] = set()
    if index:
        others = [bucket for bucket in index.buckets if bucket not in store.known]
        for bucket in others:
            if store.own:
                store.create(bucket)
            else:
                # Names there are the whole world's.
                report.plain(
                    f"  bucket {bucket} is the export's user's own; it stays in the export"
                )
                stays.add(bucket)
    progress = Progress("buckets", count=manifest.object_count, size=_bytes(archive))
    objects = archive.objects(manifest)
    for (bucket, _), same_key in itertools.groupby(objects, key=lambda o: (o.bucket, o.key)):
        versions = list(same_key)
        if bucket in stays:
            continue
        store.load(archive, versions)
        for found in versions:
            progress.add(found.content.bytes if found.content else 0)


def _bytes(archive: Archive) -> int:
    return sum(path.stat().st_size for path in (archive.folder / "objects").glob("*"))


def _load_kubeflow(stack: Stack, pods: Pods, archive: Archive, manifest: Manifest) -> None:
    assert manifest.kubeflow is not None  # noqa: S101 - the caller has looked
    report.plain("  Kubeflow's databases, with its servers stopped")
    KubeflowDatabase(pods).restore(archive.kubeflow, manifest.kubeflow)
    # Pulumi's state has ids of the database that there was. What is gone leaves it, and the next
    # update finds the pipeline by its name.
    targets = [
        word
        for resource in stack.resources()
        if resource["type"] in _IN_KUBEFLOW
        for word in ("--target", resource["urn"])
    ]
    if targets:
        stack.run("refresh", "--yes", "--skip-preview", *targets)


def _make_schedules_again(url: str, of_the_stack: set[str]) -> None:
    """Give schedules the objects in the cluster that start their runs.

    A schedule's id is that object's own, so each gets another one. Those that the stack's program
    makes are left to it.

    Raises:
        KeepError: Kubeflow does not do it.
    """
    api = PipelinesApi(url)
    try:
        for found in list(api.recurring_runs()):
            if str(found["recurring_run_id"]) not in of_the_stack:
                again = api.copy_recurring_run(found)
                report.plain(f"  schedule {found['display_name']} has the id {again} now")
            api.delete_recurring_run(str(found["recurring_run_id"]))
    except PipelinesApiError as error:
        raise KeepError(f"the schedules cannot be made again: {error}") from error


def _known_revisions(revision: str) -> tuple[bool, str]:
    """Return whether the pinned MLflow knows a revision of its tables, and which is its own."""
    spec = find_spec("mlflow")
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise ArchiveError("MLflow is not installed; run `make bootstrap`")
    scripts = ScriptDirectory(str(Path(places[0], "store/db_migrations")))
    try:
        known = scripts.get_revision(revision) is not None
    except CommandError:
        known = False
    return known, str(scripts.get_current_head())
