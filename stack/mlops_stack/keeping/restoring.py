"""`RESTORE=folder`: the models of an export come into a stack before its pipeline runs."""

from importlib.util import find_spec
from pathlib import Path

from alembic.script import ScriptDirectory

from mlops_stack import report
from mlops_stack.keeping.archive import Archive, Manifest
from mlops_stack.keeping.errors import ArchiveError, KeepError
from mlops_stack.keeping.mlflow_pod import MlflowPod
from mlops_stack.keeping.objects import Store
from mlops_stack.keeping.pods import of_cluster
from mlops_stack.pulumi_cli import Stack


def check_revision(manifest: Manifest) -> None:
    """Refuse an export that the pinned MLflow server cannot read.

    Raises:
        ArchiveError: its tables are of another revision.
    """
    spec = find_spec("mlflow")
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise ArchiveError("MLflow is not installed; run `make bootstrap`")
    revision = ScriptDirectory(str(Path(places[0], "store/db_migrations"))).get_current_head()
    database = manifest.database
    if database.revision != revision:
        raise ArchiveError(
            f"the export's database is of MLflow {database.mlflow}, revision {database.revision}, "
            f"and this version's of revision {revision}; restore it with the version that made it"
        )


def restore(stack: Stack, archive: Archive, manifest: Manifest) -> None:
    """Import an export into a stack whose MLflow server holds nothing yet, checksums verified.

    Args:
        stack: the stack, which is up.
        archive: the export.
        manifest: what it holds.

    Raises:
        KeepError: the stack holds data of its own, or does not take it.
        PulumiError: the stack cannot be read.
    """
    outputs = stack.outputs()
    with report.phase(f"restore {archive.folder}"):
        store = Store(outputs)
        with of_cluster(outputs["kubeconfig"]) as pods:
            mlflow = MlflowPod(pods)
            held, database = mlflow.describe(), manifest.database
            # An interrupted import may have ended all but this command.
            if (held["runs"] or held["models"]) and held != {
                key: getattr(database, key) for key in held
            }:
                raise KeepError(
                    f"stack {stack.name} holds {held['models']} models and {held['runs']} runs of "
                    "its own, which an import would replace; restore into a new stack"
                )
            # The database last: it is what says that the import is done.
            for found in manifest.objects:
                store.load(archive, found)
            try:
                mlflow.replace(archive.database, manifest.database.content)
            finally:
                mlflow.forget()
    report.plain(
        f"  {database.model_versions} model versions, {database.runs} runs, "
        f"{len(manifest.objects)} objects, all checksums as exported"
    )
