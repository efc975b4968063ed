"""All of a stack's data outlives it: out with KEEP=all, and into a new stack."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pytest

from mlops_infra.node.layout import StateFolder
from mlops_platform.pipelines.pipelines_api import PipelinesApi
from mlops_stack.backup.kubeflow_database import KubeflowDatabase
from mlops_stack.backup.pods import of_cluster
from tests.cluster.conftest import Kubectl
from tests.e2e import store
from tests.e2e.conftest import Commands

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.restore,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="an embedded cluster needs root"),
]
_WORK = "what took a week ü"
_YEARLY = {"cron_schedule": {"cron": "0 0 0 1 1 *"}}


@dataclass(frozen=True)
class Found:
    """What a stack holds, as its users see it.

    Attributes:
        runs: Kubeflow's runs with their states.
        counts: of Kubeflow's and ML Metadata's records.
        champion: run and version of the champion, and the run's metrics.
        artifacts: keys and sizes of MLflow's artifacts.
        versions: contents of an object's versions, the newest first.
        mine: a user's own bucket.
        schedules: names of the schedules with their states.
    """

    runs: dict[str, str]
    counts: dict[str, int]
    champion: tuple[str, str, dict[str, float]]
    artifacts: dict[str, int]
    versions: list[bytes]
    mine: bytes
    schedules: dict[str, str]


def _in_notebook(stack: str) -> Callable[..., str]:
    kubectl = Kubectl(StateFolder.of(stack).kubeconfig)
    return partial(kubectl, "--namespace", "notebooks", "exec", "notebook-0", "--")


def _look(outputs: dict[str, Any]) -> Found:
    api, s3 = PipelinesApi(outputs["kubeflow_url"]), store.client(outputs)
    client = mlflow.MlflowClient(outputs["mlflow_url"])
    champion = client.get_model_version_by_alias(outputs["model_name"], "champion")
    with of_cluster(outputs["kubeconfig"]) as pods:
        counts = KubeflowDatabase(pods).counts()
    artifacts = s3.list_objects_v2(Bucket="artifacts", Prefix="mlflow/")["Contents"]
    versions = s3.list_object_versions(Bucket="models", Prefix="mine")["Versions"]
    return Found(
        runs={run["run_id"]: run["state"] for run in api.runs()},
        counts=counts,
        champion=(
            champion.run_id,
            str(champion.version),
            client.get_run(champion.run_id).data.metrics,
        ),
        artifacts={found["Key"]: found["Size"] for found in artifacts},
        versions=[
            s3.get_object(Bucket="models", Key="mine", VersionId=v["VersionId"])["Body"].read()
            for v in versions
        ],
        mine=s3.get_object(Bucket="of-a-user", Key="a/b ü")["Body"].read(),
        schedules={found["display_name"]: found["status"] for found in api.recurring_runs()},
    )


@pytest.fixture(scope="module")
def full(new_stack: Callable[..., Commands]) -> Commands:
    """A stack with a run, a schedule that is paused, versions, a user's bucket, and a home."""
    commands = new_stack("keep", notebooks="true", trainingMonths="1")
    commands.run("up")
    outputs = commands.stack.outputs()
    api, s3 = PipelinesApi(outputs["kubeflow_url"]), store.client(outputs)
    yearly = api.copy_recurring_run(
        {
            "display_name": "yearly",
            "experiment_id": api.experiment("yearly"),
            "pipeline_version_reference": {
                "pipeline_id": outputs["pipeline_id"],
                "pipeline_version_id": outputs["pipeline_version_id"],
            },
            "runtime_config": {"parameters": outputs["pipeline_data"]},
            "trigger": _YEARLY,
            "max_concurrency": "1",
            "status": "ENABLED",
        }
    )
    api.set_recurring_run(yearly, enabled=False)
    for body in (b"first", b"second"):
        s3.put_object(Bucket="models", Key="mine", Body=body)
    s3.create_bucket(Bucket="of-a-user")
    s3.put_object(Bucket="of-a-user", Key="a/b ü", Body=os.urandom(9_000_000))
    _in_notebook(commands.name)("sh", "-c", f"mkdir -p work && echo '{_WORK}' > 'work/a ü.txt'")
    return commands


@pytest.fixture(scope="module")
def kept(full: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Found]]:
    """The export of a stack that is gone, and what the stack held."""
    before, folder = _look(full.stack.outputs()), tmp_path_factory.mktemp("all") / "kept"
    done = full.run("down", "--keep", "all", "--keep-to", str(folder))
    assert "leftovers: 0" in done.stdout
    yield folder, before


def test_a_backup_leaves_the_stack_as_it_is(full: Commands, tmp_path: Path) -> None:
    before = _look(full.stack.outputs())
    done = full.run("backup", "--to", str(tmp_path / "backup"))
    assert "schedules go on" in done.stdout
    assert _look(full.stack.outputs()) == before
    full.run("status")


def test_everything_is_in_the_new_stack(
    kept: tuple[Path, Found], new_stack: Callable[..., Commands]
) -> None:
    folder, before = kept
    commands = new_stack("back", notebooks="true", pipelineRun="false")
    done = commands.run("up", "--restore", str(folder))
    assert "schedule yearly has the id" in done.stdout
    outputs = commands.stack.outputs()
    assert _look(outputs) == before
    # It starts again with its home.
    kubectl = Kubectl(StateFolder.of(commands.name).kubeconfig)
    kubectl(*("--namespace", "notebooks", "wait", "pod/notebook-0"), "--for=condition=Ready")
    assert _in_notebook(commands.name)("cat", "work/a ü.txt").strip() == _WORK
    # The program's own objects are those of the database that came, and all of it works.
    assert "No changes" in commands.run("preview", "--format", "markdown").stdout
    commands.run("run", "--months", "1")
    refused = commands.run("up", "--restore", str(folder), check=False)
    assert refused.returncode == 1
    assert "of its own" in refused.stderr
    lost = commands.run("down").stdout
    assert "not kept, and destroyed with the stack:" in lost
    assert "a notebook's home: claim" in lost
    assert "leftovers: 0" in lost
