"""`KEEP=models`: a stack's models go to a folder before the stack is destroyed."""

import datetime
from pathlib import Path
from typing import Any

from mlops_stack import report
from mlops_stack.keeping import archive, mlflow_pod
from mlops_stack.keeping.archive import Archive, Manifest
from mlops_stack.keeping.errors import ArchiveError, KeepError
from mlops_stack.keeping.objects import Store
from mlops_stack.pulumi_cli import Stack


def keep(stack: Stack, folder: Path) -> None:
    """Export MLflow's database and the objects of the buckets; the stack is not changed.

    A stack that never had an MLflow server has nothing to keep.

    Args:
        stack: the stack.
        folder: where to; it must not exist, or be empty.

    Raises:
        ArchiveError: the folder cannot take it.
        KeepError: the stack does not hand its data out.
        PulumiError: the stack cannot be read.
    """
    if not any("Deployment" in found["type"] and _of_mlflow(found) for found in stack.resources()):
        report.plain(f"✓ stack {stack.name} has no MLflow server: there is nothing to keep")
        return
    outputs = stack.outputs()
    if "kubeconfig" not in outputs:
        raise KeepError(
            f"stack {stack.name} was never up as a whole, so its data cannot be reached; "
            "`make up` it first, or use KEEP=none to destroy it with its data"
        )
    with report.phase(f"keep the models of {stack.name} in {folder}"):
        target = archive.prepare(folder)
        try:
            manifest = _export(stack.name, outputs, target)
            target.finish(manifest)
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


def _of_mlflow(resource: dict[str, Any]) -> bool:
    return "mlops:platform:Mlflow" in resource["urn"]


def _export(stack: str, outputs: dict[str, Any], target: Archive) -> Manifest:
    made = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    store = Store(outputs)
    with mlflow_pod.of_cluster(outputs["kubeconfig"]) as mlflow:
        # The database first: what it names is in the buckets by then, and stays there.
        try:
            database = mlflow.snapshot()
            archive.check_space(target.folder, store.size() + database.content.bytes)
            mlflow.fetch(target.database)
        finally:
            mlflow.forget()
    if archive.content_of(target.database) != database.content:
        raise KeepError("the database was harmed on its way here; run the command again")
    objects = store.save(target)
    return Manifest(made=made, stack=stack, database=database, objects=tuple(objects))
