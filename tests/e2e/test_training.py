"""The training operator: jobs over several Pods that find each other, to the end."""

import functools
import json
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from mlops_infra.node.layout import StateFolder
from mlops_stack import mlflow_runs
from mlops_toolchain import images
from tests.cluster.conftest import Kubectl
from tests.e2e import serving
from tests.e2e.conftest import CHECKOUT, Commands
from tests.e2e.serving import wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def kubectl(whole_stack: Commands, whole_outputs: dict[str, Any]) -> Callable[..., str]:
    namespace = whole_outputs["training_namespace"]
    return partial(Kubectl(StateFolder.of(whole_stack.name).kubeconfig), "--namespace", namespace)


@pytest.fixture
def job(kubectl: Callable[..., str]) -> Iterator[Callable[..., dict[str, Any]]]:
    made: list[str] = []

    def run(kind: str, replicas: dict[str, dict[str, Any]], **spec: Any) -> dict[str, Any]:
        field = {"TFJob": "tfReplicaSpecs", "PyTorchJob": "pytorchReplicaSpecs"}[kind]
        manifest = {
            "apiVersion": "kubeflow.org/v1",
            "kind": kind,
            "metadata": {"name": f"trial-{kind.lower()}"},
            "spec": {field: replicas, **spec},
        }
        made.append(f"{kind.lower()}/trial-{kind.lower()}")
        serving.apply(kubectl, manifest)
        wait(lambda: bool(_condition(kubectl, made[-1])), "the end of the job", 180)
        found: dict[str, Any] = json.loads(kubectl("get", made[-1], "--output", "json"))
        return found["status"]

    yield run
    for each in made:
        kubectl("delete", each, "--ignore-not-found")


def _condition(kubectl: Callable[..., str], name: str) -> str:
    status = json.loads(kubectl("get", name, "--output", "json")).get("status", {})
    ends = [
        each["type"]
        for each in status.get("conditions", [])
        if each["type"] in ("Succeeded", "Failed") and each["status"] == "True"
    ]
    return ends[0] if ends else ""


def _replica(container: str, script: str, replicas: int = 1) -> dict[str, Any]:
    return {
        "replicas": replicas,
        "restartPolicy": "Never",
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": container,
                        "image": images.reference("busybox"),
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["sh", "-c", script],
                    }
                ]
            }
        },
    }


def _ends(status: dict[str, Any]) -> set[str]:
    return {each["type"] for each in status["conditions"] if each["status"] == "True"}


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
def test_two_workers_train_a_model(
    whole_stack: Commands, whole_outputs: dict[str, Any], framework: str
) -> None:
    shown = _trained(whole_stack, framework)
    assert "worker 1 of 2: " in shown, shown
    assert "epoch 2 of 2: loss " in shown, shown
    job = re.search(rf"{framework}-[0-9]+-[0-9]+", shown)
    assert job, shown
    run = mlflow_runs.find(
        whole_outputs["mlflow_url"], whole_outputs["model_name"], tag="training_job", value=job[0]
    )
    assert run is not None
    # Better than chance, on a month that it never saw.
    assert run.metrics["roc_auc"] > 0.55
    assert run.metrics["flights"] > 10_000


def test_the_pipeline_takes_a_network_for_its_model(
    whole_stack: Commands, whole_outputs: dict[str, Any], kubectl: Callable[..., str]
) -> None:
    shown = whole_stack.run(
        *("run", "--months", "1", "trainer=pytorch", "network.epochs=2", "promotion_margin=1"),
        # As no run before, whose model would be reused, and yet one that learns as well
        f"network.learning_rate=0.002{secrets.randbelow(10**6):06}",
    ).stdout
    assert "not promoted; against version" in shown, shown
    run = re.search(r"runs/(?:details/)?([0-9a-f-]{36})", shown)
    assert run, shown
    found = mlflow_runs.find(
        whole_outputs["mlflow_url"],
        whole_outputs["model_name"],
        tag="kfp_evaluation_run_id",
        value=run[1],
    )
    assert found is not None
    # The job's own run, which the next step judged.
    assert found.tags["training_job"] == f"pytorch-{run[1][:8]}"
    assert found.metrics["roc_auc"] > 0.55
    kubectl("delete", "pytorchjob", found.tags["training_job"])


def test_such_a_model_serves_beside_the_champion(whole_stack: Commands) -> None:
    version = re.search(r"VERSION=([0-9]+)", _trained(whole_stack, "pytorch"))
    assert version
    try:
        tried = whole_stack.run("canary", "--version", version[1], "--weight", "50").stdout
        assert f"version {version[1]}" in tried, tried
    finally:
        whole_stack.run("rollback")


@functools.cache
def _trained(stack: Commands, framework: str) -> str:
    """Return what the command shows; a training takes minutes, and its model serves several."""
    words = ("--framework", framework, "--months", "1", "epochs=2")
    return stack.run("train", *words).stdout


def test_a_failed_training_shows_its_last_lines(
    whole_stack: Commands, kubectl: Callable[..., str]
) -> None:
    words = ("--framework", "pytorch", "--months", "1", "epochs=500", "hidden_units=512")
    with subprocess.Popen(
        whole_stack.command("train", *words),
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as command:
        assert command.stdout
        job = re.search(r"pytorch-[0-9]+-[0-9]+", command.stdout.readline())
        assert job
        pod = f"{job[0]}-master-0"
        phase = ("--ignore-not-found", "--output", "jsonpath={.status.phase}")
        wait(lambda: kubectl("get", "pod", pod, *phase) == "Running", "a Pod that runs", 90)
        wait(lambda: "worker 1 of 2" in kubectl("logs", pod), "the first line", 60)
        # The first process of a Pod gets no signal that it does not handle.
        kubectl("exec", pod, "--", "python3", "-c", "import os, signal; os.kill(1, signal.SIGINT)")
        shown = command.communicate(timeout=120)[0]
    assert command.returncode == 1, shown
    # The other worker may fail in turn, and then has lines too.
    _, found, last = shown.partition(f"last lines of {pod}:")
    assert found, shown
    assert "KeyboardInterrupt" in last.partition("last lines of ")[0], shown


def test_a_job_that_fails_says_so(job: Callable[..., dict[str, Any]]) -> None:
    status = job("PyTorchJob", {"Master": _replica("pytorch", "exit 3")})
    assert "Failed" in _ends(status)


def test_a_job_without_master_is_refused(kubectl: Callable[..., str]) -> None:
    manifest = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": "Not_A_Name"},
        "spec": {"pytorchReplicaSpecs": {"Nobody": _replica("pytorch", "true")}},
    }
    with pytest.raises(AssertionError, match=r"Nobody|Invalid|invalid"):
        serving.apply(kubectl, manifest)
