"""The training operator's objects: what is kept of upstream's, and what is changed."""

from pathlib import Path
from typing import Any

import pytest

from mlops_platform.training import training_manifests
from mlops_platform.training.training_operator import TrainingOperator, TrainingOperatorArgs
from mlops_platform.upstream_manifests import ManifestsError
from mlops_toolchain import images, layout
from tests.unit import recording

FOLDER = layout.manifests_dir() / "training-operator"
pytestmark = pytest.mark.skipif(
    not FOLDER.exists(), reason="needs upstream's manifests: run `make toolchain`"
)


def _recorded(*, pulls_published: bool = False) -> recording.Recorder:
    def program() -> None:
        cluster = recording.cluster(pulls_published=pulls_published)
        TrainingOperator("training-operator", TrainingOperatorArgs(cluster=cluster))

    return recording.run(program)


@pytest.fixture(scope="module")
def recorded() -> recording.Recorder:
    return _recorded()


def _pod(recorder: recording.Recorder) -> dict[str, Any]:
    (deployment,) = recorder.of(":Deployment")
    pod: dict[str, Any] = deployment.inputs["spec"]["template"]["spec"]
    return pod


def test_it_knows_the_jobs_of_two_frameworks(recorded: recording.Recorder) -> None:
    names = {r.inputs["metadata"]["name"] for r in recorded.of(":CustomResourceDefinition")}
    assert names == {"tfjobs.kubeflow.org", "pytorchjobs.kubeflow.org"}
    (container,) = _pod(recorded)["containers"]
    assert {"--enable-scheme=tfjob", "--enable-scheme=pytorchjob"} <= set(container["args"])
    (webhooks,) = recorded.of(":ValidatingWebhookConfiguration")
    assert len(webhooks.inputs["webhooks"]) == 2


def test_definitions_lose_their_prose_and_no_field(recorded: recording.Recorder) -> None:
    upstream = {
        each["metadata"]["name"]: each
        for each in training_manifests.definitions(FOLDER / "standalone.json")
    }
    for found in recorded.of(":CustomResourceDefinition"):
        theirs = upstream[found.inputs["metadata"]["name"]]["spec"]
        assert _strings(theirs) == _strings(found.inputs["spec"]) | _strings(theirs, "description")
        assert not _strings(found.inputs["spec"], "description")


def _strings(schema: Any, key: str = "", path: str = "") -> set[tuple[str, str]]:
    """Return the leaves of a schema with their paths; of one key alone, if it is given."""
    if isinstance(schema, dict):
        return set().union(*(_strings(v, key, f"{path}/{k}") for k, v in schema.items()))
    if isinstance(schema, list):
        return set().union(*(_strings(v, key, f"{path}/{n}") for n, v in enumerate(schema)))
    wanted = not key or path.endswith(f"/{key}")
    return {(path, str(schema))} if wanted else set()


def test_its_pod_is_restricted_and_bounded(recorded: recording.Recorder) -> None:
    pod = _pod(recorded)
    (container,) = pod["containers"]
    assert container["image"] == images.reference("training-operator")
    assert container["command"] == ["training-operator"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"requests", "limits"} <= set(container["resources"])


def test_everything_is_in_its_own_namespace(recorded: recording.Recorder) -> None:
    places = {
        r.inputs["metadata"]["namespace"]
        for r in recorded.resources
        if "namespace" in r.inputs.get("metadata", {})
    }
    assert places == {"training-operator"}
    (binding,) = recorded.of(":ClusterRoleBinding")
    (subject,) = binding.inputs["subjects"]
    assert subject["namespace"] == "training-operator"
    (webhooks,) = recorded.of(":ValidatingWebhookConfiguration")
    clients = [each["clientConfig"]["service"] for each in webhooks.inputs["webhooks"]]
    assert {client["namespace"] for client in clients} == {"training-operator"}


def test_what_workers_wait_in_is_mounted(recorded: recording.Recorder) -> None:
    pod = _pod(recorded)
    (template,) = recorded.of(":ConfigMap")
    mounted = {v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v}
    assert mounted == {template.inputs["metadata"]["name"]}
    (container,) = pod["containers"]
    assert f"--pytorch-init-container-image={images.reference('busybox')}" in container["args"]


def test_other_clusters_pull_a_pinned_image() -> None:
    (container,) = _pod(_recorded(pulls_published=True))["containers"]
    assert container["image"] == "kubeflow/training-operator:v1-04f9f13"
    assert container["command"] == ["/manager"]


def test_manifests_of_another_version_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "standalone.json"
    file.write_text("[]")
    with pytest.raises(ManifestsError, match="for another version"):
        training_manifests.definitions(file)
    with pytest.raises(ManifestsError, match="for another version"):
        training_manifests.webhook(file)
