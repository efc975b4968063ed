"""`KEEP=` and `make backup`: a stack's data goes to a folder."""

import contextlib
import dataclasses
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlops_stack import report
from mlops_stack.backup import archive, at_rest, policy
from mlops_stack.backup.archive import Archive, Database, Dump, Home, Index, Manifest
from mlops_stack.backup.errors import ArchiveError, KeepError
from mlops_stack.backup.homes import Homes
from mlops_stack.backup.kubeflow_database import KubeflowDatabase
from mlops_stack.backup.mlflow_pod import MlflowPod
from mlops_stack.backup.objects import Store
from mlops_stack.backup.pods import Pods, of_cluster
from mlops_stack.backup.policy import Keep
from mlops_stack.backup.progress import Progress
from mlops_stack.pulumi_cli import Stack

_SCHEDULE = "pulumi-python:dynamic/mlops:RecurringRun"
_WITHOUT_KEEPING = "KEEP=none destroys the stack with its data"


@contextlib.contextmanager
def kept(stack: Stack, keep: Keep, *, otherwise: str = _WITHOUT_KEEPING) -> Iterator[None]:
    """Export a stack's data; the block then destroys the stack.

    From before the export to the end of the block the stack is at rest: schedules start no runs,
    and none goes on. They go on if the export or the block fails. A stack that never had an MLflow
    server has nothing to keep.

    Args:
        stack: the stack.
        keep: what to export, and where to.
        otherwise: what a user can do where the export fails, for the message.

    Raises:
        ArchiveError: the folder cannot take it.
        KeepError: the stack does not hand its data out, or changed after the export.
        PulumiError: the stack cannot be read.
    """
    resources = stack.resources()
    if not any("Deployment" in found["type"] and _of_mlflow(found) for found in resources):
        report.plain(f"✓ stack {stack.name} has no MLflow server: there is nothing to keep")
        yield
        return
    outputs = _outputs(stack, "or use KEEP=none to destroy it with its data")
    with of_cluster(outputs["kubeconfig"]) as pods, contextlib.ExitStack() as rest:
        source = _Source(stack.name, outputs, resources, pods, keep.what)
        with report.phase(f"keep {keep.what} of {stack.name} in {keep.folder}"):
            after = f". Nothing was destroyed; {otherwise}"
            with _new_archive(keep.folder, after) as target:
                if source.has_runs:
                    rest.enter_context(at_rest.suspended(stack.name, pods, afterwards=False))
                    at_rest.wait_for_runs(pods, training=source.training)
                databases = source.databases(target)
                manifest = source.rest(target, *databases)
                target.verify(manifest)
                # Reading it all took its time. What came to the stack since is not in the export.
                source.refuse_changes(manifest)
                target.finish(manifest)
        _tell(manifest, keep.folder)
        yield
    at_rest.forget(stack.name)


def backup(stack: Stack, folder: Path) -> None:
    """Export all of a stack's data; the stack goes on.

    Schedules are suspended while both databases are copied, so that these are of one moment. What
    they name is in the buckets by then.

    Args:
        stack: the stack.
        folder: where to; it must not exist, or be empty.

    Raises:
        ArchiveError: the folder cannot take it.
        KeepError: the stack does not hand its data out.
        PulumiError: the stack is not up, or cannot be read.
    """
    outputs = _outputs(stack, "then back it up")
    if "mlflow_url" not in outputs:
        raise KeepError(f"stack {stack.name} has no MLflow server: there is nothing to back up")
    with of_cluster(outputs["kubeconfig"]) as pods:
        source = _Source(stack.name, outputs, stack.resources(), pods, policy.ALL)
        with (
            report.phase(f"back up {stack.name} to {folder}"),
            _new_archive(folder, "; the stack goes on as it is") as target,
        ):
            with at_rest.suspended(stack.name, pods, afterwards=True):
                if going_on := at_rest.unfinished(pods, training=source.training):
                    report.plain(
                        f"  {len(going_on)} not finished, and so in the backup: "
                        f"{', '.join(going_on[:5])}"
                    )
                databases = source.databases(target)
            manifest = source.rest(target, *databases)
            target.verify(manifest)
            target.finish(manifest)
    _tell(manifest, folder)


@dataclasses.dataclass
class _Source:
    """A stack whose data is exported.

    Attributes:
        stack: its name.
        outputs: its outputs.
        resources: its resources.
        pods: its cluster.
        what: models or all.
    """

    stack: str
    outputs: dict[str, Any]
    resources: list[dict[str, Any]]
    pods: Pods
    what: str
    states: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = Store(self.outputs)
        self.buckets = self.store.buckets(self.what)
        self.mlflow = MlflowPod(self.pods)
        self.kubeflow = KubeflowDatabase(self.pods)
        self.homes = Homes(self.pods)
        self.training = self.outputs.get("training_namespace") or ""
        self.has_runs = "kubeflow_url" in self.outputs

    @property
    def everything(self) -> bool:
        return self.what == policy.ALL

    def databases(self, target: Archive) -> tuple[Database, Dump | None]:
        """Copy the databases, after a look at the room that all of the data needs."""
        self.states = self.store.state(self.buckets)
        sizes = self.store.sizes(self.buckets, versions=self.everything)
        self._count = sum(count for count, _ in sizes.values())
        self._bytes = sum(size for _, size in sizes.values())
        needed = self._bytes
        if self.everything and self.has_runs:
            needed += self.kubeflow.size()
        if self.everything:
            needed += sum(self.homes.state(volume)["bytes"] for volume in self.homes.volumes())
        try:
            database = self.mlflow.snapshot()
            archive.check_space(target.folder, needed + database.content.bytes)
            self.mlflow.fetch(target.database)
        finally:
            self.mlflow.forget()
        dump = None
        if self.everything and self.has_runs:
            found = self.kubeflow.dump(target.kubeflow)
            own = tuple(
                str(resource["id"])
                for resource in self.resources
                if resource["type"] == _SCHEDULE and resource.get("id")
            )
            dump = found.model_copy(update={"stack_schedules": own})
        return database, dump

    def rest(self, target: Archive, database: Database, dump: Dump | None) -> Manifest:
        """Copy the objects and the homes, and describe all of it."""
        made = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        progress = Progress("buckets", count=self._count, size=self._bytes)
        index: Index = self.store.save(
            target, self.buckets, versions=self.everything, progress=progress
        )
        homes: tuple[Home, ...] = ()
        if self.everything:
            homes = tuple(self.homes.save(target, volume) for volume in self.homes.volumes())
        return Manifest.model_validate(
            {
                "kept": self.what,
                "made": made,
                "stack": self.stack,
                "database": database,
                "index": index,
                "kubeflow": dump,
                "homes": homes,
            }
        )

    def refuse_changes(self, manifest: Manifest) -> None:
        """Refuse a stack that has changed since its data was copied.

        Raises:
            KeepError: it has.
        """
        before = {**self.states, "MLflow's database": manifest.database.content.sha256}
        after = self.store.state(self.buckets)
        try:
            after["MLflow's database"] = self.mlflow.snapshot().content.sha256
        finally:
            self.mlflow.forget()
        if manifest.kubeflow:
            before["Kubeflow's database"] = manifest.kubeflow.sha256
            after["Kubeflow's database"] = self.kubeflow.digest()
        if self.everything:
            before |= {f"the home of {home.label}": home.state for home in manifest.homes}
            after |= {
                f"the home of {volume.label}": self.homes.state(volume)["sha256"]
                for volume in self.homes.volumes()
            }
        if changed := sorted(
            name for name in {*before, *after} if before.get(name) != after.get(name)
        ):
            raise KeepError(
                f"{' and '.join(changed)} changed while the data was copied; end what writes "
                "there, then run the command again"
            )
        if self.has_runs:
            at_rest.wait_for_runs(self.pods, training=self.training, seconds=0)


@contextlib.contextmanager
def _new_archive(folder: Path, after: str) -> Iterator[Archive]:
    """Give a new export; whatever fails in the block, what it has written is removed.

    Args:
        folder: where.
        after: what becomes of the stack, for the message.
    """
    target = archive.prepare(folder)
    try:
        yield target
    except (ArchiveError, KeepError) as error:
        target.discard()
        raise type(error)(f"{error}{after}") from error
    except BaseException:
        target.discard()
        raise


def _outputs(stack: Stack, remedy: str) -> dict[str, Any]:
    outputs = stack.outputs()
    if "kubeconfig" not in outputs:
        raise KeepError(
            f"stack {stack.name} was never up as a whole, so its data cannot be reached; "
            f"`make up` it first, {remedy}"
        )
    return outputs


def _of_mlflow(resource: dict[str, Any]) -> bool:
    return "mlops:platform:Mlflow" in resource["urn"]


def _tell(manifest: Manifest, folder: Path) -> None:
    database, index = manifest.database, manifest.index
    words = [
        f"{database.model_versions} model versions",
        f"{database.runs} runs of MLflow",
        f"{manifest.object_count} objects",
    ]
    if manifest.kubeflow:
        words.insert(2, f"{manifest.kubeflow.counts['runs']} runs of Kubeflow")
    if manifest.homes:
        words.append(f"{len(manifest.homes)} homes of notebooks")
    report.plain(f"  {', '.join(words)}; `make up RESTORE={folder}` brings them back")
    if index and manifest.kept == policy.ALL:
        latest = [bucket for bucket in index.buckets if bucket not in index.versioned]
        if latest:
            report.plain(
                f"  buckets {', '.join(latest)} keep no old versions: the latest are there"
            )
