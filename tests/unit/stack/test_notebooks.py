"""The stack with notebooks: what they are given, and what keeps their token from view."""

import json
from typing import Any

import pytest

from mlops_stack.outputs import StackOutputs
from mlops_stack.status import rows
from mlops_toolchain import layout
from tests.unit import recording
from tests.unit.conftest import CHECKOUT

pytestmark = pytest.mark.skipif(
    not (layout.manifests_dir() / "notebook-controller").exists(),
    reason="needs upstream's manifests: run `make toolchain`",
)


def _run(**config: str) -> recording.Recorder:
    return recording.program({"ephemeral": "true", **config})


@pytest.fixture(scope="module")
def recorded() -> recording.Recorder:
    return _run(notebooks="true", servingEngines="both")


def _pod(recorded: recording.Recorder) -> dict[str, Any]:
    (notebook,) = recorded.of("kubeflow.org/v1:Notebook")
    pod: dict[str, Any] = notebook.inputs["spec"]["template"]["spec"]
    return pod


def _secret(recorded: recording.Recorder, name: str) -> dict[str, str]:
    # As the engine is told that a value is secret.
    data: dict[str, str] = recorded.named(name).inputs["stringData"]["value"]
    return data


def test_they_are_off_unless_asked_for() -> None:
    found = _run()
    assert not found.of(":NotebookController")
    assert not found.of(":Notebook")


def test_the_pod_is_restricted(recorded: recording.Recorder) -> None:
    pod = _pod(recorded)
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def test_the_token_is_in_its_secret_alone(recorded: recording.Recorder) -> None:
    token = _secret(recorded, "notebook-token")["token"]
    assert token == "SK"
    pod = _pod(recorded)
    assert f'"{token}"' not in json.dumps(pod)
    mounted = {v["name"]: v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
    assert mounted == {"token": "notebook-token"}


def test_it_is_told_where_everything_is(recorded: recording.Recorder) -> None:
    told = _secret(recorded, "notebook-environment")
    assert {
        "KFP_API_URL",
        "MLFLOW_TRACKING_URI",
        "AWS_ENDPOINT_URL",
        "FLIGHTS_DATA",
        "KSERVE_URL",
        "SELDON_URL",
    } <= set(told)
    assert told["KSERVE_URL"].startswith("http://gateway.serving-gateway.svc.cluster.local/kserve/")


def test_its_home_is_a_volume_of_its_own(recorded: recording.Recorder) -> None:
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in _pod(recorded)["volumes"]
        if "persistentVolumeClaim" in volume
    ]
    assert claims == ["notebook-home"]
    assert recorded.named("notebook-home").typ.endswith(":PersistentVolumeClaim")


def test_the_summary_shows_no_token() -> None:
    outputs = StackOutputs(
        mlflow_url="http://m",
        notebook_address="http://n",
        notebook_url="http://n/lab?token=s3cret",
    )
    assert "s3cret" not in repr(outputs)
    shown = dict(rows("dev", outputs))
    assert "s3cret" not in str(shown)
    assert "pulumi stack output notebook_url --show-secrets" in shown["Notebook"]
    assert "Notebook" not in dict(rows("dev", StackOutputs(mlflow_url="http://m")))


def test_the_sample_is_kept_without_outputs() -> None:
    sample = CHECKOUT / "workloads/notebooks/flight_delay.ipynb"
    cells = [each for each in json.loads(sample.read_text())["cells"] if "outputs" in each]
    assert cells
    assert all(not each["outputs"] and each["execution_count"] is None for each in cells)
