"""`KEEP=models`: a stack's models go to a folder before the stack is destroyed."""

import contextlib
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlops_stack import report
from mlops_stack.keeping import archive, at_rest
from mlops_stack.keeping.archive import Archive, Manifest
from mlops_stack.keeping.errors import ArchiveError, KeepError
from mlops_stack.keeping.mlflow_pod import MlflowPod
from mlops_stack.keeping.objects import Store
from mlops_stack.keeping.pods import Pods, of_cluster
from mlops_stack.pulumi_cli import Stack


@contextlib.contextmanager
def kept(stack: Stack, folder: Path) -> Iterator[None]:
    """Export MLflow's database and the objects of the buckets; the block then destroys the stack.

    From before the export to the end of the block the stack is at rest: schedules start no runs,
    and none goes on. They go on if the export or the block fails. A stack that never had an MLflow
    server has nothing to keep.

    Args:
        stack: the stack.
        folder: where to; it must not exist, or be empty.

    Raises:
        ArchiveError: the folder cannot take it.
        KeepError: the stack does not hand its data out, or changed after the export.
        PulumiError: the stack cannot be read.
    """
    if not any("Deployment" in found["type"] and _of_mlflow(found) for found in stack.resources()):
        report.plain(f"✓ stack {stack.name} has no MLflow server: there is nothing to keep")
        yield
        return
    outputs = stack.outputs()
    if "kubeconfig" not in outputs:
        raise KeepError(
            f"stack {stack.name} was never up as a whole, so its data cannot be reached; "
            "`make up` it first, or use KEEP=none to destroy it with its data"
        )
    with of_cluster(outputs["kubeconfig"]) as pods, contextlib.ExitStack() as rest:
        with report.phase(f"keep the models of {stack.name} in {folder}"):
            target = archive.prepare(folder)
            try:
                if "kubeflow_url" in outputs:
                    rest.enter_context(at_rest.suspended(stack.name, pods, afterwards=False))
                    at_rest.wait_for_runs(pods, training=outputs.get("training_namespace") or "")
                manifest = _export(stack.name, outputs, pods, target)
            except (ArchiveError, KeepError) as error:
                target.discard()
                raise type(error)(
                    f"{error}. Nothing was destroyed; KEEP=none destroys the stack with its data"
                ) from error
            except BaseException:
                target.discard()
                raise
        database = manifest.database
        report.plain(
            f"  {database.model_versions} model versions, {database.runs} runs, "
            f"{len(manifest.objects)} objects; `make up RESTORE={folder}` brings them back"
        )
        yield
    at_rest.forget(stack.name)


def _of_mlflow(resource: dict[str, Any]) -> bool:
    return "mlops:platform:Mlflow" in resource["urn"]


def _export(stack: str, outputs: dict[str, Any], pods: Pods, target: Archive) -> Manifest:
    made = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    store, mlflow = Store(outputs), MlflowPod(pods)
    before = store.state()
    try:
        # The database first: what it names is in the buckets by then, and stays there.
        database = mlflow.snapshot()
        archive.check_space(target.folder, store.size() + database.content.bytes)
        mlflow.fetch(target.database)
        objects = store.save(target)
        manifest = Manifest(made=made, stack=stack, database=database, objects=tuple(objects))
        target.verify(manifest)
        # Reading it all took its time. What came to the stack since is not in the export.
        _refuse_changes(
            {"MLflow's database": database.content.sha256, **before},
            {"MLflow's database": mlflow.snapshot().content.sha256, **store.state()},
        )
        if "kubeflow_url" in outputs:
            at_rest.wait_for_runs(pods, training=outputs.get("training_namespace") or "", seconds=0)
    finally:
        mlflow.forget()
    target.finish(manifest)
    return manifest


def _refuse_changes(before: dict[str, str], after: dict[str, str]) -> None:
    if changed := [name for name in before if after[name] != before[name]]:
        raise KeepError(
            f"{' and '.join(changed)} changed while the data was copied; end what writes there, "
            "then run the command again"
        )
