"""The stack with and without the images of Kubeflow's UI, which no `up` waits for."""

import pytest

from mlops_stack.status import rows
from mlops_toolchain import images
from tests.unit import recording


def _run(monkeypatch: pytest.MonkeyPatch, *, built: bool) -> recording.Recorder:
    monkeypatch.setattr(images, "is_there", lambda _: built)
    return recording.program({"ephemeral": "true"})


def _images(found: recording.Recorder) -> list[str]:
    (cluster,) = found.of(":EmbeddedCluster")
    return list(cluster.inputs["images"])


def test_the_ui_is_there_when_its_images_are(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _run(monkeypatch, built=True)
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


def test_the_stack_goes_without_until_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with_ui = _run(monkeypatch, built=True)
    without = _run(monkeypatch, built=False)
    assert not without.of(":KubeflowPipelinesUi")
    assert len(without.of(":KubeflowPipelines")) == 1
    # The node is not asked to import what nobody has built.
    assert len(_images(with_ui)) - len(_images(without)) == 2


def test_the_summary_says_how_to_get_it() -> None:
    up = {"mlflow_url": "http://m"}
    assert dict(rows("dev", {**up, "kubeflow_ui_url": None}))["Kubeflow UI"] == (
        "not built yet; `make toolchain`, then `make up`"
    )
    assert dict(rows("dev", {**up, "kubeflow_ui_url": "http://a"}))["Kubeflow UI"] == "http://a"
