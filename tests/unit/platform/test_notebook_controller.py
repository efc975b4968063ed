"""The notebook controller's objects: what is kept of upstream's, and what is changed."""

from pathlib import Path
from typing import Any

import pytest

from mlops_platform.notebooks import notebook_manifests
from mlops_platform.notebooks.notebook_controller import NotebookController, NotebookControllerArgs
from mlops_platform.upstream_manifests import ManifestsError
from mlops_toolchain import images, layout
from tests.unit import recording

FOLDER = layout.manifests_dir() / "notebook-controller"
pytestmark = pytest.mark.skipif(
    not FOLDER.exists(), reason="needs upstream's manifests: run `make toolchain`"
)


def _recorded(*, pulls_published: bool = False) -> recording.Recorder:
    def program() -> None:
        cluster = recording.cluster(pulls_published=pulls_published)
        NotebookController("notebook-controller", NotebookControllerArgs(cluster=cluster))

    return recording.run(program)


@pytest.fixture(scope="module")
def recorded() -> recording.Recorder:
    return _recorded()


def _pod(recorder: recording.Recorder) -> dict[str, Any]:
    (deployment,) = recorder.of(":Deployment")
    pod: dict[str, Any] = deployment.inputs["spec"]["template"]["spec"]
    return pod


def test_it_knows_notebooks(recorded: recording.Recorder) -> None:
    (definition,) = recorded.of(":CustomResourceDefinition")
    assert definition.inputs["metadata"]["name"] == "notebooks.kubeflow.org"


def test_its_pod_is_restricted_and_bounded(recorded: recording.Recorder) -> None:
    pod = _pod(recorded)
    (container,) = pod["containers"]
    assert container["image"] == images.reference("notebook-controller")
    assert container["command"] == ["notebook-controller"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"requests", "limits"} <= set(container["resources"])


def test_it_works_without_istio(recorded: recording.Recorder) -> None:
    (container,) = _pod(recorded)["containers"]
    assert {"name": "USE_ISTIO", "value": "false"} in container["env"]
    (role,) = recorded.of(":ClusterRole")
    groups = {group for rule in role.inputs["rules"] for group in rule["apiGroups"]}
    assert groups == {"apps", "", "kubeflow.org"}


def test_both_namespaces_refuse_privileged_pods(recorded: recording.Recorder) -> None:
    levels = {
        each.inputs["metadata"]["name"]: each.inputs["metadata"]["labels"]
        for each in recorded.of(":Namespace")
    }
    assert set(levels) == {"notebook-controller-system", "notebooks"}
    for labels in levels.values():
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_other_clusters_pull_a_pinned_image() -> None:
    (container,) = _pod(_recorded(pulls_published=True))["containers"]
    assert container["image"] == "public.ecr.aws/j1r0q0g6/notebooks/notebook-controller:v1.5.0"
    assert container["command"] == ["/manager"]


def test_manifests_of_another_version_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "standalone.json"
    file.write_text("[]")
    with pytest.raises(ManifestsError, match="for another version"):
        notebook_manifests.definition(file)
    with pytest.raises(ManifestsError, match="for another version"):
        notebook_manifests.objects(file, controller=None)
