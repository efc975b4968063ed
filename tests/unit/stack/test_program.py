"""The whole program against recording mocks."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlops_stack import settings
from mlops_stack.settings import SettingsError
from tests.unit import recording
from tests.unit.conftest import CHECKOUT

TOKEN = re.compile(r"^mlops:(infra|platform|workloads):[A-Z][A-Za-z0-9]+$")


@pytest.fixture(scope="module")
def stack() -> recording.Recorder:
    return recording.program({"ephemeral": "true"})


def test_every_layer_is_there(stack: recording.Recorder) -> None:
    found = {r.typ for r in stack.resources if r.typ.startswith("mlops:")}
    assert found == {
        "mlops:infra:Cluster",
        "mlops:infra:S3Gateway",
        "mlops:infra:Buckets",
        "mlops:platform:Mlflow",
        "mlops:platform:KubeflowPipelines",
        "mlops:platform:KubeflowPipelinesUi",
        "mlops:platform:MariaDb",
        "mlops:workloads:FlightDelayPipeline",
    }
    assert all(TOKEN.match(token) for token in found)


def test_names_are_unique(stack: recording.Recorder) -> None:
    names = [(r.typ, r.name) for r in stack.resources]
    assert len(names) == len(set(names))


def test_no_object_lands_in_an_ambient_cluster(stack: recording.Recorder) -> None:
    objects = [r for r in stack.resources if r.typ.startswith("kubernetes:")]
    assert len(objects) > 10
    assert all(r.provider and "cluster-kubernetes" in r.provider for r in objects)


def test_every_pod_is_restricted(stack: recording.Recorder) -> None:
    found = {r.name: r.inputs["spec"]["template"]["spec"] for r in _workloads(stack)}
    assert len(found) >= 8
    for name, pod in found.items():
        upstream = name.startswith("kubeflow-pipelines-upstream-")
        # Kubeflow's controllers and its UI are clients of Kubernetes; nobody else is.
        if not upstream and name != "kubeflow-pipelines-ui-server":
            assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            context = {**pod["securityContext"], **container["securityContext"]}
            assert context["runAsNonRoot"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["allowPrivilegeEscalation"] is False
            assert {"requests", "limits"} <= set(container["resources"])
            assert re.search(r":\d[^:]*-[0-9a-f]{8}$", container["image"])


def test_every_namespace_enforces_a_standard(stack: recording.Recorder) -> None:
    levels = {
        namespace.inputs["metadata"]["name"]: namespace.inputs["metadata"]["labels"][
            "pod-security.kubernetes.io/enforce"
        ]
        for namespace in stack.of(":Namespace")
    }
    # Kubeflow's own steps set no seccomp profile.
    assert levels == {
        "mlflow": "restricted",
        "object-storage": "restricted",
        "kubeflow": "baseline",
    }


def test_credentials_come_from_the_generator(stack: recording.Recorder) -> None:
    secrets = stack.of(":Secret")
    assert len(secrets) >= 6
    for secret in secrets:
        values = {v["value"] if isinstance(v, dict) else v for v in _data(secret).values()}
        # ML Metadata's server reads how it connects from a file: one text with the password in it.
        files = {value for value in values if "\n" in value}
        assert all('password: "SK"' in text for text in files)
        # The database's account has a name that is no secret.
        assert values - files <= {"AK", "SK", "kubeflow"}
        assert files or "SK" in values


@pytest.fixture(scope="module")
def serving() -> recording.Recorder:
    return recording.program({"ephemeral": "true", "servingEngines": "both"})


def test_an_update_and_the_deploy_step_roll_out_on_the_same_servers(
    serving: recording.Recorder,
) -> None:
    (rollout,) = serving.of(":Rollout")
    servers = rollout.inputs["servers"]
    assert [each["engine"] for each in servers] == ["kserve", "seldon"]
    assert {each["artifacts"] for each in servers} == {"s3://artifacts/mlflow"}
    (steps,) = [r for r in serving.of(":ConfigMap") if r.name == "flight-delay-addresses"]
    assert json.loads(steps.inputs["data"]["MODEL_SERVERS"]) == servers


def test_the_deploy_step_may_deploy_and_nothing_more(serving: recording.Recorder) -> None:
    roles = [r for r in serving.of(":Role") if "pipeline-steps" in r.inputs["metadata"]["name"]]
    namespaces = {role.inputs["metadata"]["namespace"] for role in roles}
    assert namespaces == {"serving", "seldon", "serving-gateway"}
    rules = [rule for role in roles for rule in role.inputs["rules"]]
    granted = {
        (group, r) for rule in rules for group in rule["apiGroups"] for r in rule["resources"]
    }
    assert ("", "secrets") not in granted
    assert not any(
        "*" in rule[key] for rule in rules for key in ("apiGroups", "resources", "verbs")
    )
    subjects = [
        subject
        for r in serving.of(":RoleBinding")
        if "pipeline-steps" in r.inputs["metadata"]["name"]
        for subject in r.inputs["subjects"]
    ]
    assert {(s["namespace"], s["name"]) for s in subjects} == {("kubeflow", "pipeline-runner")}


def test_the_node_takes_each_image_once(serving: recording.Recorder) -> None:
    (node,) = serving.of(":EmbeddedCluster")
    images = node.inputs["images"]
    assert len(set(images)) == len(images)


def test_serving_keeps_names_and_tokens(serving: recording.Recorder) -> None:
    test_names_are_unique(serving)
    test_no_object_lands_in_an_ambient_cluster(serving)
    assert all(TOKEN.match(r.typ) for r in serving.resources if r.typ.startswith("mlops:"))


@pytest.mark.parametrize("engine", ["kserve", "seldon"])
def test_one_engine_brings_nothing_of_the_other(engine: str) -> None:
    found = recording.program({"servingEngines": engine})
    (rollout,) = found.of(":Rollout")
    assert [each["engine"] for each in rollout.inputs["servers"]] == [engine]
    layers = {r.typ for r in found.resources if r.typ.startswith("mlops:platform:")}
    assert ("mlops:platform:KServe" in layers) is (engine == "kserve")
    assert ("mlops:platform:SeldonCore" in layers) is (engine == "seldon")


def test_an_existing_cluster_takes_images_from_its_registry(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        "current-context: a\n"
        "contexts: [{name: a, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://10.1.2.3:6443'}}]\n"
    )
    found = recording.program(
        {
            "clusterProvider": "existing",
            "kubeconfig": str(kubeconfig),
            "imageRegistry": "registry.example/mlops",
        }
    )
    images = [
        c["image"]
        for r in _workloads(found)
        for c in r.inputs["spec"]["template"]["spec"]["containers"]
    ]
    assert images
    pulled = [image for image in images if not image.startswith("registry.example/mlops/")]
    assert len(pulled) == 7  # Kubeflow's own five and the two of its UI
    assert all(re.search(r"^[a-z]+\.[a-z.-]+/.+:v?\d+\.\d+\.\d+$", image) for image in pulled)
    assert not found.of(":EmbeddedCluster")


def test_kind_is_a_resource_of_its_own() -> None:
    found = recording.program({"clusterProvider": "kind"})
    assert [r.inputs["name"] for r in found.of(":KindCluster")] == ["unit"]
    assert not found.of(":EmbeddedCluster")


@pytest.mark.parametrize("provider", ["embedded", "kind"])
def test_a_cluster_has_the_images_that_its_objects_name_and_no_other(provider: str) -> None:
    found = recording.program(
        {
            "clusterProvider": provider,
            "servingEngines": "both",
            "trainingOperator": "true",
            "notebooks": "true",
        }
    )
    (node,) = [*found.of(":EmbeddedCluster"), *found.of(":KindCluster")]
    named = {
        reference
        for resource in found.resources
        if resource is not node
        for reference in re.findall(
            r"docker\.io/(?:local|library)/[a-z0-9-]+:[\w.-]+", json.dumps(resource.inputs)
        )
    }
    assert set(node.inputs["images"]) == named


def test_wrong_settings_stop_the_program_before_anything_is_registered() -> None:
    with pytest.raises(SettingsError, match="trainingMonths"):
        recording.program({"trainingMonths": "12"})


def test_buckets_of_a_lasting_stack_refuse_to_lose_data() -> None:
    assert all(not b.inputs["force_destroy"] for b in recording.program({}).of(":Bucket"))
    assert all(
        b.inputs["force_destroy"] for b in recording.program({"ephemeral": "true"}).of(":Bucket")
    )


def test_the_standard_library_is_not_shadowed() -> None:
    code = "import platform, uuid; print(platform.system(), uuid.uuid4().version)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["Linux", "4"]


def _workloads(found: recording.Recorder) -> list[recording.mocks.MockResourceArgs]:
    return [*found.of(":Deployment"), *found.of(":Job")]


def _data(secret: recording.mocks.MockResourceArgs) -> dict[str, object]:
    """Return a Secret's data, unwrapped where the engine marks the whole map as secret."""
    data = secret.inputs["stringData"]
    return data.get("value", data)


def test_a_stale_pipeline_is_refused_before_anything_is_registered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stale = tmp_path / "pipeline.yaml"
    stale.write_text("image: docker.io/local/flights:old")
    monkeypatch.setattr(settings, "COMPILED", stale)
    registered: list[str] = []

    def register(_: recording.Recorder, args: Any) -> Any:
        registered.append(args.name)
        raise AssertionError(args.name)

    monkeypatch.setattr(recording.Recorder, "new_resource", register)
    with pytest.raises(SettingsError, match="run `make pipeline`"):
        recording.program({"ephemeral": "true"})
    assert not registered
