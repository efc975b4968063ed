"""`make upgrade`: a stack with its data from the oldest version of Kubernetes to the newest."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest

from mlops_infra.node import cluster
from mlops_infra.node.layout import StateFolder
from mlops_platform.pipelines.pipelines_api import PipelinesApi
from mlops_stack.upgrading import record
from mlops_toolchain import kubernetes
from tests.cluster.conftest import Kubectl
from tests.e2e import store
from tests.e2e.conftest import Commands

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.upgrade,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(os.geteuid() != 0, reason="an embedded cluster needs root"),
]
_OLD, _NEW = kubernetes.VERSIONS[0], kubernetes.VERSIONS[-1]
# Two updates, a copy and an import.
_SECONDS = 1800
_BODY = os.urandom(3_000_000)


def _champion(outputs: dict[str, Any]) -> tuple[str, str, dict[str, float]]:
    client = mlflow.MlflowClient(outputs["mlflow_url"])
    found = client.get_model_version_by_alias(outputs["model_name"], "champion")
    metrics = client.get_run(found.run_id).data.metrics
    return found.run_id, str(found.version), metrics


def _runs(outputs: dict[str, Any]) -> dict[str, str]:
    return {run["run_id"]: run["state"] for run in PipelinesApi(outputs["kubeflow_url"]).runs()}


def _server(name: str) -> str:
    kubectl = Kubectl(StateFolder.of(name).kubeconfig)
    return kubectl("get", "nodes", "--output=jsonpath={.items[*].status.nodeInfo.kubeletVersion}")


def test_a_lasting_stack_gets_another_version_and_keeps_all_of_its_data(
    new_stack: Callable[..., Commands], tmp_path: Path
) -> None:
    # The file names the version until the cluster has it: a cluster keeps what it has.
    commands = new_stack(
        "upgrade",
        trainingMonths="1",
        servingEngines="kserve",
        kubernetesVersion=_OLD,
        ephemeral="false",
    )
    commands.run("up", seconds=_SECONDS)
    file = commands.stack.file()
    file.write_text(
        "".join(line for line in file.open() if "kubernetesVersion" not in line)
        # What is restored serves without another run.
        + "  mlops-platform:pipelineRun: false\n"
    )
    outputs = commands.stack.outputs()
    identity = commands.stack.known_id()
    store.client(outputs).put_object(Bucket="models", Key="mine/a ü", Body=_BODY)
    champion, runs = _champion(outputs), _runs(outputs)
    assert _server(commands.name) == f"v{_OLD}"
    assert runs
    refused = commands.run("upgrade", "--to", _OLD, check=False)
    assert refused.returncode == 1
    assert f"has Kubernetes {_OLD} already" in refused.stderr

    copy = tmp_path / "copy"
    done = commands.run("upgrade", "--to", _NEW, "--keep-to", str(copy), seconds=_SECONDS)

    assert f"has Kubernetes {_NEW}" in done.stdout
    assert _server(commands.name) == f"v{_NEW}"
    outputs = commands.stack.outputs()
    assert _champion(outputs) == champion
    assert _runs(outputs).items() >= runs.items()
    found = store.client(outputs).get_object(Bucket="models", Key="mine/a ü")["Body"].read()
    assert found == _BODY
    assert (copy / "manifest.json").exists()
    assert record.read(commands.name) is None
    # It is the same stack, with what it serves.
    assert commands.stack.known_id() == identity
    commands.run("predict", "--rows", "1")
    commands.run("status")
    assert "No changes" in commands.run("preview", "--format", "markdown").stdout
    # What the API server asks of the kubelet is allowed, and runs go on.
    kubectl = Kubectl(StateFolder.of(commands.name).kubeconfig)
    assert kubectl(
        "--namespace", "mlflow", "logs", "--tail=1", "--selector=app.kubernetes.io/name=mlflow"
    )
    commands.run("run", "--months", "1")
    # A lasting stack with data is destroyed when it has become another, as its user is told.
    assert "is not ephemeral" in commands.run("down", check=False).stderr
    file.write_text(file.read_text().replace("ephemeral: false", "ephemeral: true"))
    commands.run("up")
    done = commands.run("down")
    assert "leftovers: 0" in done.stdout
    assert cluster.read(commands.name).health is cluster.Health.ABSENT
