"""KServe's objects: what is kept of upstream's, and what is changed."""

import json
from typing import Any

import pytest

from flight_pipeline.settings import NAME
from mlops_platform.serving import kserve_manifests
from mlops_platform.serving.kserve import KServe, KServeArgs
from mlops_platform.serving.kserve_manifests import KServeImages
from mlops_platform.upstream_manifests import ManifestsError
from mlops_toolchain import images, layout
from tests.unit import recording

FOLDER = layout.manifests_dir() / "kserve"
DEFAULT = FOLDER / "default.json"
IMAGES = KServeImages(
    controller=images.reference("kserve-controller"),
    storage_initializer=images.reference("storage-initializer"),
)
MODEL_SERVER = images.reference("model-server")
pytestmark = pytest.mark.skipif(
    not DEFAULT.exists(), reason="needs upstream's manifests: run `make toolchain`"
)


def _recorded(*, pulls_published: bool = False) -> Any:
    def program() -> None:
        cluster = recording.cluster(pulls_published=pulls_published)
        KServe("kserve", KServeArgs(cluster=cluster))

    return recording.run(program)


@pytest.fixture(scope="module")
def recorded() -> recording.Recorder:
    return _recorded()


def _pod(recorder: recording.Recorder) -> dict[str, Any]:
    (deployment,) = recorder.of(":Deployment")
    pod: dict[str, Any] = deployment.inputs["spec"]["template"]["spec"]
    return pod


def test_the_controller_is_the_only_program(recorded: recording.Recorder) -> None:
    (container,) = _pod(recorded)["containers"]
    assert container["image"] == IMAGES.controller
    assert container["command"] == ["kserve-controller"]
    assert not recorded.of(":DaemonSet")


def test_its_pod_is_restricted_and_bounded(recorded: recording.Recorder) -> None:
    pod = _pod(recorded)
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"requests", "limits"} <= set(container["resources"])


def test_no_definition_of_language_models_is_kept(recorded: recording.Recorder) -> None:
    names = {r.inputs["metadata"]["name"] for r in recorded.of(":CustomResourceDefinition")}
    assert len(names) == 9
    assert "inferenceservices.serving.kserve.io" in names
    assert not [name for name in names if "llm" in name]


def test_servers_are_plain_deployments_without_ingress(recorded: recording.Recorder) -> None:
    (config,) = recorded.of(":ConfigMap")
    data = {key: json.loads(value) for key, value in config.inputs["data"].items()}
    assert data["deploy"]["defaultDeploymentMode"] == "Standard"
    assert data["ingress"]["disableIngressCreation"] is True
    assert data["ingress"]["disableIstioVirtualHost"] is True
    assert data["storageInitializer"]["image"] == IMAGES.storage_initializer


def test_every_webhook_trusts_the_stacks_authority(recorded: recording.Recorder) -> None:
    found = [*recorded.of(":MutatingWebhookConfiguration")]
    found += recorded.of(":ValidatingWebhookConfiguration")
    clients = [hook["clientConfig"] for r in found for hook in r.inputs["webhooks"]]
    assert len(clients) == 7
    (certificate,) = recorded.of(":WebhookCertificates")
    names = {f"{c['service']['name']}.{c['service']['namespace']}.svc" for c in clients}
    assert names <= set(certificate.inputs["names"])
    assert all("caBundle" in client for client in clients)
    assert not any("annotations" in r.inputs["metadata"] for r in found)


def test_the_certificate_is_the_secret_that_the_controller_mounts(
    recorded: recording.Recorder,
) -> None:
    (secret,) = recorded.of("core/v1:Secret")
    mounted = {v["secret"]["secretName"] for v in _pod(recorded)["volumes"]}
    assert mounted == {secret.inputs["metadata"]["name"]}


def test_accounts_of_bindings_are_the_controllers(recorded: recording.Recorder) -> None:
    (account,) = recorded.of(":ServiceAccount")
    bindings = [*recorded.of(":RoleBinding"), *recorded.of(":ClusterRoleBinding")]
    assert len(bindings) == 2
    for binding in bindings:
        (subject,) = binding.inputs["subjects"]
        assert subject["name"] == account.inputs["metadata"]["name"]
        assert subject["namespace"] == account.inputs["metadata"]["namespace"]


def test_a_server_is_asked_once_its_model_is_loaded(recorded: recording.Recorder) -> None:
    runtime = recorded.named("kserve-runtime").inputs["spec"]
    (container,) = runtime["containers"]
    assert container["image"] == MODEL_SERVER
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/models/{{.Name}}/ready"
    assert container["readinessProbe"]["periodSeconds"] == 1


def test_other_clusters_pull_pinned_images() -> None:
    recorder = _recorded(pulls_published=True)
    (container,) = _pod(recorder)["containers"]
    assert container["image"] == "docker.io/kserve/kserve-controller:v0.16.0"
    assert container["command"] == ["/manager"]


def test_manifests_of_another_version_are_refused(tmp_path: Any) -> None:
    (tmp_path / "default.json").write_text("[]")
    with pytest.raises(ManifestsError, match="for another version"):
        kserve_manifests.objects(tmp_path / "default.json", IMAGES)


def test_a_name_that_nothing_would_serve_is_refused(recorded: recording.Recorder) -> None:
    (policy,) = recorded.of(":ValidatingAdmissionPolicy")
    (binding,) = recorded.of(":ValidatingAdmissionPolicyBinding")
    assert binding.inputs["spec"]["policyName"] == policy.inputs["metadata"]["name"]
    assert binding.inputs["spec"]["validationActions"] == ["Deny"]
    # 63 of a host name's part, less "-predictor-".
    (rule,) = policy.inputs["spec"]["validations"]
    assert "(52 - size(object.metadata.namespace))" in rule["expression"]


def test_the_names_of_our_own_services_are_within_the_limit() -> None:
    assert len(f"{NAME}-v100000-abcde") <= 52 - len("serving")
