"""Each setting of a lasting stack changed once: refused, or all of its data is still there."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import mlflow
import pytest
import yaml

from mlops_infra.node.layout import StateFolder
from mlops_platform.pipelines.pipelines_api import PipelinesApi
from mlops_stack import settings
from mlops_toolchain import kubernetes
from tests.cluster.conftest import Kubectl
from tests.e2e import store
from tests.e2e.conftest import CHECKOUT, Commands

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.settings,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(os.geteuid() != 0, reason="an embedded cluster needs root"),
]
_BODY = os.urandom(100_000)
_FIRST = {
    "ephemeral": "false",
    "trainingMonths": "1",
    "servingEngines": "kserve",
    "notebooks": "true",
}
# What leaves a stack without its data, or leads to a cluster of somebody else's.
_REFUSED: Mapping[str, str] = {
    "clusterProvider": "kind",
    "kubernetesVersion": kubernetes.VERSIONS[0],
    "clusterNetwork": "10.222.0.0/16",
    "kubeconfig": "/nowhere",
    "kubeContext": "other",
    "nodeAddress": "10.0.0.1",
    "storageClass": "standard",
    "imageRegistry": "registry.example.org/mlops",
    "objectStorageSize": "11Gi",
    "mlflowStorageSize": "3Gi",
    "kubeflowStorageSize": "3Gi",
    "notebookStorageSize": "3Gi",
    "notebooks": "false",
    "layers": "infra",
}
# What changes the stack and none of its data. One after the other, none is set back.
_TAKEN: tuple[Mapping[str, str], ...] = (
    {"clusterReservedMemory": "600Mi"},
    {"clusterReservedCpu": "250m"},
    {"keep": "models"},
    {"artifactExpiryDays": "30"},
    {"kubeflowUi": "false"},
    {"pipelineRun": "false"},
    {"trainingMonths": "1-2", "pipelineSchedule": "0 0 3 * * *"},
    {"predictionLogRate": "0.5"},
    {"servingEngines": "seldon"},
    {"trainingOperator": "true"},
    {"policies": "advisory", "advisoryPolicies": "fixed-image", "privilegedPods": "agent"},
    # An embedded cluster takes no notice of these.
    {
        "owner": "somebody@example.org",
        "expires": "2031-01-31",
        "awsAccount": "123456789012",
        "awsRegion": "us-east-1",
        "awsPreset": "production",
        "awsDatabase": "true",
        "awsApiCidrs": "203.0.113.0/24",
        "awsS3Endpoint": "https://s3.example.org",
        "awsAdministrators": "arn:aws:iam::123456789012:role/admin",
        "awsAddonVersions": "coredns=v1.12.1-eksbuild.2",
    },
    {"modelName": "another"},
    {"ephemeral": "true"},
)


@dataclass
class Held:
    """What a stack holds.

    Attributes:
        runs: Kubeflow's runs, by id.
        champion: run and version of the champion in MLflow.
        claims: identity of each claim, by namespace and name.
        body: an object that its user has stored.
    """

    runs: dict[str, str]
    champion: tuple[str, str]
    claims: dict[str, str]
    body: bytes


def _held(commands: Commands) -> Held:
    outputs = commands.stack.outputs()
    version = mlflow.MlflowClient(outputs["mlflow_url"]).get_model_version_by_alias(
        "flight-delay", "champion"
    )
    found = Kubectl(StateFolder.of(commands.name).kubeconfig)(
        *("get", "persistentvolumeclaims", "--all-namespaces"),
        "--output=jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} "
        "{.metadata.uid}{'\\n'}{end}",
    )
    body = store.client(outputs).get_object(Bucket="models", Key="mine/a ü")["Body"].read()
    return Held(
        runs={run["run_id"]: run["state"] for run in PipelinesApi(outputs["kubeflow_url"]).runs()},
        champion=(version.run_id, str(version.version)),
        claims=dict(line.split() for line in found.splitlines()),
        body=body,
    )


def _configure(commands: Commands, changes: Mapping[str, str | None]) -> dict[str, str | None]:
    """Change a stack's file; return what the keys were, None for those that were not there."""
    file = CHECKOUT / f"Pulumi.{commands.name}.yaml"
    document: dict[str, Any] = yaml.safe_load(file.read_text())
    before: dict[str, str | None] = {}
    for key, value in changes.items():
        full = f"mlops-platform:{key}"
        before[key] = document["config"].pop(full, None)
        if value is not None:
            document["config"][full] = value
    file.write_text(yaml.safe_dump(document, allow_unicode=True))
    return before


def test_every_setting_is_changed_here() -> None:
    changed = [*_REFUSED, *(key for changes in _TAKEN for key in changes)]
    assert sorted(changed) == settings.keys()


def test_each_setting_is_refused_or_leaves_all_data(new_stack: Callable[..., Commands]) -> None:
    commands = new_stack("settings", **_FIRST)
    commands.run("up")
    store.client(commands.stack.outputs()).put_object(Bucket="models", Key="mine/a ü", Body=_BODY)
    first = _held(commands)
    assert first.runs
    assert len(first.claims) >= 4
    resources = len(commands.stack.resources())
    for key, value in _REFUSED.items():
        before = _configure(commands, {key: value})
        refused = commands.run("up", check=False)
        assert refused.returncode == 1, f"{key} was taken: {refused.stdout}"
        assert "Traceback" not in refused.stdout + refused.stderr, f"{key}: {refused.stderr}"
        assert len(commands.stack.resources()) == resources, key
        _configure(commands, before)
        assert _held(commands) == first, key
    assert "No changes" in commands.run("preview", "--format", "markdown").stdout
    for changes in _TAKEN:
        _configure(commands, changes)
        commands.run("up")
        now = _held(commands)
        assert now.runs.items() >= first.runs.items(), changes
        assert (now.champion, now.claims, now.body) == (first.champion, first.claims, _BODY), (
            changes
        )
    assert "leftovers: 0" in commands.run("down").stdout
