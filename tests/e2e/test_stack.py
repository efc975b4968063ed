"""The main job from nothing to nothing, through the commands a user types."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_infra.node import cluster
from mlops_infra.node.layout import StateFolder
from mlops_infra.node.leftovers import leftovers
from mlops_platform.pipelines.pipelines_api import PipelinesApi
from mlops_platform.tracking.model_version import find_champion
from tests.cluster.conftest import Kubectl
from tests.e2e import store
from tests.e2e.conftest import CHECKOUT, Commands

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]


# What the preview said while there was neither a cluster nor a state.
_FIRST_PREVIEW: dict[str, Any] = {}


@pytest.fixture(scope="module")
def stack(new_stack: Callable[[str], Commands]) -> Commands:
    """A stack that is up."""
    commands = new_stack("main")
    _FIRST_PREVIEW.update(json.loads(commands.run("preview", "--format", "json").stdout))
    commands.run("up")
    return commands


@pytest.fixture
def outputs(stack: Commands) -> dict[str, Any]:
    return stack.stack.outputs()


def _plan(stack: Commands, command: str) -> dict[str, int]:
    """Return what a preview or refresh would do: operations to numbers of resources."""
    target = stack.stack
    target.ensure()
    arguments = (
        ["preview", "--json"] if command == "preview" else ["refresh", "--preview-only", "--json"]
    )
    text = target.capture_run(*arguments)
    return {k: v for k, v in json.loads(text)["changeSummary"].items() if v}


def _wait(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(1)
    pytest.fail(f"{what} did not happen within {seconds:.0f} s")


def _processes(name: str, program: str, argument: bytes = b"") -> list[int]:
    """Return the processes of a program in the cluster of that name, with an argument if given."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            groups = (entry / "cgroup").read_text()
        except OSError:
            continue
        named = Path(words[0].decode()).name == program and (not argument or argument in words)
        if named and f"mlops-{name}/" in groups:
            found.append(int(entry.name))
    return found


def test_the_first_preview_had_every_resource_of_the_update(stack: Commands) -> None:
    foreseen = {found["urn"] for found in _FIRST_PREVIEW["resources"] if found["layer"] != "stack"}
    # The provider of dynamic resources is the engine's own, which shows it to nobody.
    made = {
        urn for r in stack.stack.resources() if not (urn := str(r["urn"])).endswith("::default")
    }
    assert foreseen == made
    assert not _FIRST_PREVIEW["errors"]
    assert not _FIRST_PREVIEW["violations"]


def test_the_model_is_registered_with_what_a_data_scientist_looks_at(
    outputs: dict[str, Any],
) -> None:
    url = outputs["mlflow_url"]
    run = httpx.get(
        f"{url}/api/2.0/mlflow/runs/get", params={"run_id": outputs["model_run"]}
    ).json()["run"]
    assert run["info"]["status"] == "FINISHED"
    metrics = {m["key"]: m["value"] for m in run["data"]["metrics"]}
    assert metrics["roc_auc"] > 0.6
    assert outputs["model_metrics"]["roc_auc"] == pytest.approx(metrics["roc_auc"], abs=1e-4)
    version = httpx.get(
        f"{url}/api/2.0/mlflow/model-versions/get",
        params={"name": outputs["model_name"], "version": outputs["model_version"]},
    ).json()["model_version"]
    assert version["run_id"] == outputs["model_run"]
    plots = httpx.get(
        f"{url}/api/2.0/mlflow/artifacts/list",
        params={"run_id": outputs["model_run"], "path": "plots"},
    ).json()["files"]
    assert {Path(p["path"]).name for p in plots} == {
        "roc.svg",
        "calibration.svg",
        "feature_importance.svg",
    }


def test_the_model_is_in_its_bucket_and_the_data_in_its_own(outputs: dict[str, Any]) -> None:
    s3 = store.client(outputs)
    artifacts = _keys(s3, "artifacts")
    assert any(key.startswith("mlflow/") and key.endswith("/MLmodel") for key in artifacts)
    data = _keys(s3, "datasets")
    assert len([key for key in data if "/flights/year=2013/month=" in key]) == 12


def test_the_run_has_succeeded_and_left_its_artifacts_and_outcome(
    outputs: dict[str, Any],
) -> None:
    run = PipelinesApi(outputs["kubeflow_url"]).run(outputs["pipeline_run"])
    assert run is not None
    assert run["state"] == "SUCCEEDED"
    keys = _keys(store.client(outputs), "pipelines")
    for artifact in ("training_set", "model", "report"):
        assert any(key.startswith("artifacts/") and artifact in key for key in keys), keys
    assert _outcome(outputs, outputs["pipeline_run"])["state"] == "SUCCEEDED"


def _outcome(outputs: dict[str, Any], run: str) -> dict[str, Any]:
    key = f"outcomes/{run}.json"
    body = store.client(outputs).get_object(Bucket="pipelines", Key=key)["Body"].read()
    outcome: dict[str, Any] = json.loads(body)
    return outcome


def _champion(outputs: dict[str, Any]) -> str:
    return str(find_champion(outputs["mlflow_url"], outputs["model_name"])["version"])  # type: ignore[index]


def test_an_unchanged_step_is_reused_and_an_equal_model_is_not_promoted(
    stack: Commands, outputs: dict[str, Any]
) -> None:
    text = stack.run("run").stdout
    assert "↺ preprocess (reused)" in text
    assert "↺ train (reused)" in text
    assert "✓ evaluate" in text
    assert "✓ deploy" not in text
    assert "not promoted; against version 1" in text
    assert _champion(outputs) == "1"
    # Now the champion is the same too.
    text = stack.run("run").stdout
    assert "↺ evaluate (reused)" in text
    assert "not promoted; against version 1" in text


def test_the_plain_client_loads_the_champion_on_this_machine(outputs: dict[str, Any]) -> None:
    code = (
        "import mlflow.sklearn\n"
        f"model = mlflow.sklearn.load_model('models:/{outputs['model_name']}@champion')\n"
        "print('steps:', *model.named_steps)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, "MLFLOW_TRACKING_URI": outputs["mlflow_url"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "steps: columns trees" in done.stdout, done.stderr


def test_bad_parameters_are_refused_before_anything_is_submitted(
    stack: Commands, outputs: dict[str, Any]
) -> None:
    api = PipelinesApi(outputs["kubeflow_url"])
    before = api.run_count()
    refused = stack.run("run", "evaluation_month=2", "leafs=3", check=False)
    assert refused.returncode == 1
    assert "evaluation_month 2 is among the training months 1-3" in refused.stderr
    assert "there is no parameter 'leafs'; did you mean leaves?" in refused.stderr
    assert api.run_count() == before


def test_a_run_survives_a_killed_step_and_a_killed_database(
    stack: Commands, outputs: dict[str, Any]
) -> None:
    """A worse model on other data: nothing is reused, and it must not be promoted."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlops_stack", "run", "--stack", stack.name),
            *("--months", "1", "evaluation_month=4", "iterations=3", "leaves=2"),
        ],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    kubectl = partial(Kubectl(StateFolder.of(stack.name).kubeconfig), "--namespace", "kubeflow")

    def pods(selector: str, field: str) -> list[str]:
        done = kubectl("get", "pods", "--selector", selector, "--output", f"jsonpath={field}")
        return done.split()

    def main_of_a_step() -> list[int]:
        return _processes(stack.name, "python3", b"kfp.dsl.executor_main")

    _wait(lambda: bool(main_of_a_step()), "a step")
    os.kill(main_of_a_step()[0], signal.SIGKILL)
    (database,) = pods("app.kubernetes.io/name=mariadb", "{.items[*].metadata.name}")
    kubectl("delete", "pod", database, "--grace-period=0", "--force", "--wait=false")
    text, _ = process.communicate(timeout=600)
    assert process.returncode == 0, text
    assert "not promoted; against version 1" in text
    assert _champion(outputs) == "1"
    # The database that was killed still knows the runs of before.
    assert PipelinesApi(outputs["kubeflow_url"]).run(outputs["pipeline_run"])
    assert pods("app.kubernetes.io/name=mariadb", "{.items[*].metadata.name}") != [database]


def _keys(s3: Any, bucket: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def test_a_second_preview_shows_no_change(stack: Commands) -> None:
    assert set(_plan(stack, "preview")) == {"same"}


def test_a_refresh_shows_no_drift(stack: Commands) -> None:
    assert set(_plan(stack, "refresh")) == {"same"}


def test_status_says_that_everything_answers(stack: Commands) -> None:
    text = stack.run("status").stdout
    assert "✓ MLflow answers" in text
    assert "✓ S3 answers" in text
    assert "✓ Kubeflow API answers" in text


def test_no_secret_is_in_the_state_or_the_outputs_of_a_command(
    stack: Commands, outputs: dict[str, Any]
) -> None:
    state = (
        CHECKOUT / f".state/pulumi/.pulumi/stacks/mlops-platform/{stack.name}.json"
    ).read_text()
    for name in ("s3_access_key", "s3_secret_key"):
        assert outputs[name] not in state
        assert outputs[name] not in stack.run("status").stdout
    assert "client-key-data" not in state


def test_the_control_plane_recovers_from_killed_processes(stack: Commands) -> None:
    for program in ("kube-apiserver", "kubelet"):
        (process,) = _processes(stack.name, program)
        os.kill(process, signal.SIGKILL)
        _wait(
            lambda program=program, process=process: (
                _processes(stack.name, program)  # type: ignore[misc]
                not in ([], [process])
            ),
            f"a new {program}",
        )
    _wait(lambda: cluster.read(stack.name).health is cluster.Health.HEALTHY, "a healthy cluster")


def test_up_after_the_node_was_killed_brings_the_data_back(
    stack: Commands, outputs: dict[str, Any]
) -> None:
    (first,) = list(_processes(stack.name, "containerd"))
    supervisor = int(Path(f"/proc/{first}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(supervisor, signal.SIGKILL)
    _wait(lambda: cluster.read(stack.name).health is cluster.Health.STOPPED, "the node's end")
    stack.run("up")
    assert cluster.read(stack.name).health is cluster.Health.HEALTHY
    after = stack.stack.outputs()
    assert after["model_version"] == outputs["model_version"]
    _wait(lambda: _answers(after), "MLflow with its old run")
    assert any(key.endswith("/MLmodel") for key in _keys(store.client(after), "artifacts"))


def _answers(outputs: dict[str, Any]) -> bool:
    try:
        answer = httpx.get(
            f"{outputs['mlflow_url']}/api/2.0/mlflow/runs/get",
            params={"run_id": outputs["model_run"]},
            timeout=5,
        )
    except httpx.HTTPError:
        return False
    return answer.is_success


def test_an_interrupted_up_converges_beside_another_stack(
    stack: Commands, new_stack: Callable[[str], Commands]
) -> None:
    other = new_stack("stop")
    # In the engine's start, in the cluster's boot, and while Pods come up.
    for seconds in (2, 9, 30):
        process = subprocess.Popen(
            [sys.executable, "-m", "mlops_stack", "up", "--stack", other.name],
            cwd=CHECKOUT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=300)
    other.run("up")
    assert other.stack.outputs()["model_version"]
    # Both are up; the older one is still itself, and goes first, in the middle of a run.
    assert cluster.read(stack.name).health is cluster.Health.HEALTHY
    _start_run(stack)
    text = stack.run("down").stdout
    assert text.splitlines()[-1].startswith("leftovers: 0")
    assert cluster.read(other.name).health is cluster.Health.HEALTHY
    assert "✓ MLflow answers" in other.run("status").stdout


def _start_run(stack: Commands) -> None:
    """Start a run that computes, and return once one of its pods is there."""
    outputs = stack.stack.outputs()
    api = PipelinesApi(outputs["kubeflow_url"])
    run = api.create_run(
        name="active",
        experiment=api.experiment("flight-delay"),
        pipeline=outputs["pipeline_id"],
        version=outputs["pipeline_version_id"],
        parameters={**outputs["pipeline_data"], "training_months": "5", "evaluation_month": 6},
    )
    _wait(lambda: "root-driver" in str(api.run(run)), "the run's first pod")


def test_down_of_a_dead_cluster_leaves_nothing(new_stack: Callable[[str], Commands]) -> None:
    # The stack of the test before this one is up; its node dies before it is taken down.
    other = Commands(next(n for n in _cluster_names() if n.startswith("e2e-stop-")))
    (first,) = list(_processes(other.name, "containerd"))
    supervisor = int(Path(f"/proc/{first}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(supervisor, signal.SIGKILL)
    text = other.run("down").stdout
    assert text.splitlines()[-1].startswith("leftovers: 0")
    assert not leftovers(other.name)
    absent = other.run("down").stdout
    assert absent.splitlines()[-1].startswith("leftovers: 0")


def _cluster_names() -> list[str]:
    from mlops_infra.node.state import cluster_names  # noqa: PLC0415

    return list(cluster_names())
