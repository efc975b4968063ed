"""Kubeflow's UI is there as the settings say, whatever this machine has built."""

import pytest

from mlops_stack.outputs import StackOutputs
from mlops_stack.status import rows
from mlops_toolchain import images
from tests.unit import recording


@pytest.fixture(autouse=True)
def nothing_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "is_there", lambda _: False)


def _images(found: recording.Recorder) -> list[str]:
    (cluster,) = found.of(":EmbeddedCluster")
    return list(cluster.inputs["images"])


def test_the_ui_is_there_whatever_is_built() -> None:
    found = recording.program({"ephemeral": "true"})
    assert len(found.of(":KubeflowPipelinesUi")) == 1
    deployed = [
        container["image"]
        for deployment in found.of(":Deployment")
        if deployment.name.startswith("kubeflow-pipelines-ui-")
        for container in deployment.inputs["spec"]["template"]["spec"]["containers"]
    ]
    assert len(deployed) == 2
    names = {images.reference(name) for name in ("kubeflow-pipelines-ui", "grpcwebproxy")}
    assert set(deployed) == names
    assert names <= set(_images(found))


def test_the_stack_goes_without_when_its_settings_say_so() -> None:
    without = recording.program({"ephemeral": "true", "kubeflowUi": "false"})
    assert not without.of(":KubeflowPipelinesUi")
    assert len(without.of(":KubeflowPipelines")) == 1
    names = {images.reference(name) for name in ("kubeflow-pipelines-ui", "grpcwebproxy")}
    assert not names & set(_images(without))


def test_the_summary_says_how_to_get_it() -> None:
    without = StackOutputs.read({"mlflow_url": "http://m", "kubeflow_ui_url": None})
    assert dict(rows("dev", without))["Kubeflow UI"] == (
        "not built yet; `make toolchain`, then `make up`"
    )
    with_it = StackOutputs(mlflow_url="http://m", kubeflow_ui_url="http://a")
    assert dict(rows("dev", with_it))["Kubeflow UI"] == "http://a"
