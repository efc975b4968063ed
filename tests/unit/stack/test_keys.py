"""Other keys, other Pods: whatever reads a generated Secret starts anew when its values change."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from mlops_infra.keys_digest import names
from mlops_rollout import rollout
from mlops_rollout.engine import ModelServer, Version
from mlops_toolchain import images, layout
from tests.unit import recording

pytestmark = pytest.mark.skipif(
    not (layout.manifests_dir() / "notebook-controller").exists(),
    reason="needs upstream's manifests: run `make toolchain`",
)
CREDENTIALS = "pulumi-python:dynamic/mlops:Credentials"
CERTIFICATES = "pulumi-python:dynamic/mlops:WebhookCertificates"
EVERYTHING = {
    "ephemeral": "true",
    "notebooks": "true",
    "servingEngines": "both",
    "trainingOperator": "true",
}
KUBEFLOW = "kubeflow-pipelines-upstream-deployment"


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The program, recorded with some keys, with the same ones again, and with others."""

    one: recording.Recorder
    same: recording.Recorder
    other: recording.Recorder


@pytest.fixture(scope="module")
def runs() -> Runs:
    known = {kind: dict(recording._COMPUTED[kind]) for kind in (CREDENTIALS, CERTIFICATES)}

    def recorded(**keys: str) -> recording.Recorder:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(images, "is_there", lambda _: True)
            for kind, values in known.items():
                changed = {key: value for key, value in keys.items() if key in values}
                patch.setitem(recording._COMPUTED, kind, {**values, **changed})
            return recording.program(EVERYTHING)

    return Runs(
        one=recorded(),
        same=recorded(),
        other=recorded(secret_key="another-secret-key", private_key="another-private-key"),
    )


def pods(recorded: recording.Recorder) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what keeps Pods running: the resource's name and the Pods' template."""
    for kind in (":Deployment", ":StatefulSet", ":DaemonSet", "kubeflow.org/v1:Notebook"):
        for each in recorded.of(kind):
            yield each.name, each.inputs["spec"]["template"]


def secrets(recorded: recording.Recorder) -> dict[str, str]:
    """Return what each Secret holds, by its name in the cluster."""
    return {
        each.inputs.get("metadata", {}).get("name", each.name): json.dumps(
            [each.inputs.get("stringData"), each.inputs.get("data")]
        )
        for each in recorded.of(":Secret")
    }


def reading(recorded: recording.Recorder, changed: set[str]) -> set[str]:
    return {name for name, each in pods(recorded) if changed & set(names(each["spec"]))}


def test_other_keys_start_every_pod_anew_that_reads_them_and_no_other(
    runs: Runs,
) -> None:
    before, after = secrets(runs.one), secrets(runs.other)
    changed = {name for name in before if before[name] != after[name]}
    assert {"s3-root", "mlpipeline-minio-artifact", "kserve-webhook-server-cert"} <= changed
    were, are = dict(pods(runs.one)), dict(pods(runs.other))
    started = {name for name in were if were[name] != are[name]}
    assert started == reading(runs.one, changed)
    assert started >= {
        "s3-gateway",
        "mlflow-server",
        "kubeflow-pipelines-mariadb-server",
        f"{KUBEFLOW}-ml-pipeline",
        f"{KUBEFLOW}-metadata-grpc-deployment",
        "kserve-upstream-deployment-kserve-controller-manager",
        "notebook-server",
    }


def test_the_same_keys_start_nothing_anew(runs: Runs) -> None:
    assert dict(pods(runs.one)) == dict(pods(runs.same))


def test_no_key_is_in_what_a_pod_bears(runs: Runs) -> None:
    shown = json.dumps(dict(pods(runs.other)))
    assert "another-secret-key" not in shown
    assert "another-private-key" not in shown


def test_other_keys_are_other_model_servers(runs: Runs) -> None:
    version = Version(number="1", uri="mlflow-artifacts:/1/models/m/artifacts")
    for before, after in zip(servers(runs.one), servers(runs.other), strict=True):
        same = rollout._manifest(before, version), rollout._manifest(before, version)
        assert same[0] == same[1]
        assert rollout._manifest(after, version) != rollout._manifest(before, version)


def servers(recorded: recording.Recorder) -> list[ModelServer]:
    told = recorded.named("rollout").inputs["servers"]
    return [ModelServer.read(each) for each in told]
