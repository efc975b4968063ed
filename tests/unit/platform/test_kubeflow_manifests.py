"""What becomes of upstream's manifests."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_platform.pipelines import kubeflow_manifests
from mlops_platform.pipelines.kubeflow_manifests import (
    KubeflowImages,
    KubeflowSettings,
)
from mlops_platform.upstream_manifests import ManifestsError
from mlops_toolchain import layout

FOLDER = layout.manifests_dir() / "kubeflow-pipelines"
OBJECTS = FOLDER / "platform-agnostic.yaml"
SETTINGS = KubeflowSettings(
    images=KubeflowImages(
        api_server="local/api:1",
        persistence_agent="local/agent:1",
        scheduled_workflow="local/scheduled:1",
        metadata="local/metadata:1",
        workflow_controller="local/controller:1",
        driver="local/driver:1",
        launcher="local/launcher:1",
        executor="local/executor:1",
    ),
    database_host="db.example",
    database_port=3307,
    store_host="s3.example",
    store_port=7070,
    store_secure=False,
    store_region="eu-west-1",
    store_keyless=False,
    bucket="runs",
)
pytestmark = pytest.mark.skipif(
    not OBJECTS.exists(), reason="needs upstream's manifests: run `make toolchain`"
)


def _objects(settings: KubeflowSettings = SETTINGS) -> dict[tuple[str, str], dict[str, Any]]:
    found = kubeflow_manifests.objects(OBJECTS, settings)
    return {(m["kind"], m["metadata"]["name"]): m for m in found}


def _containers(settings: KubeflowSettings = SETTINGS) -> dict[str, dict[str, Any]]:
    return {
        name: manifest["spec"]["template"]["spec"]["containers"][0]
        for (kind, name), manifest in _objects(settings).items()
        if kind == "Deployment"
    }


def test_only_what_a_single_user_needs_runs() -> None:
    assert set(_containers()) == {
        "metadata-grpc-deployment",
        "ml-pipeline",
        "ml-pipeline-persistenceagent",
        "ml-pipeline-scheduledworkflow",
        "workflow-controller",
    }


def test_no_secret_and_no_default_password_of_upstream_is_left() -> None:
    assert not [name for kind, name in _objects() if kind == "Secret"]
    text = OBJECTS.read_text()
    assert "minio123" in text
    assert "minio123" not in yaml.safe_dump(list(_objects().values()))


def test_every_account_of_a_binding_and_of_a_pod_is_kept() -> None:
    objects = _objects()
    accounts = {name for kind, name in objects if kind == "ServiceAccount"}
    for (kind, _), manifest in objects.items():
        if kind == "RoleBinding":
            assert ("Role", manifest["roleRef"]["name"]) in objects
            assert {subject["name"] for subject in manifest["subjects"]} <= accounts
        if kind == "Deployment":
            assert manifest["spec"]["template"]["spec"]["serviceAccountName"] in accounts


def test_roles_are_upstreams() -> None:
    upstream = {
        m["metadata"]["name"]: m["rules"]
        for m in yaml.safe_load_all(OBJECTS.read_text())
        if m["kind"] == "Role"
    }
    ours = {name: m["rules"] for (kind, name), m in _objects().items() if kind == "Role"}
    assert ours
    assert all(rules == upstream[name] for name, rules in ours.items())


def test_every_configuration_that_a_pod_reads_is_kept() -> None:
    maps = {name: m["data"] for (kind, name), m in _objects().items() if kind == "ConfigMap"}
    for container in _containers().values():
        for entry in container.get("env", []):
            if source := entry.get("valueFrom", {}).get("configMapKeyRef"):
                assert source["key"] in maps[source["name"]]


def test_pods_are_bounded_and_run_as_nobody_special() -> None:
    for container in _containers().values():
        assert {"requests", "limits"} <= set(container["resources"])
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["runAsNonRoot"] is True


def test_our_images_run_our_commands() -> None:
    images = SETTINGS.images
    assert images is not None
    containers = _containers()
    assert containers["ml-pipeline"]["image"] == images.api_server
    environment = {e["name"]: e.get("value") for e in containers["ml-pipeline"]["env"]}
    assert environment["V2_DRIVER_IMAGE"] == images.driver
    assert environment["V2_LAUNCHER_IMAGE"] == images.launcher
    assert images.executor in containers["workflow-controller"]["args"]


def test_upstreams_images_keep_their_own_commands() -> None:
    upstream = {
        m["metadata"]["name"]: m["spec"]["template"]["spec"]["containers"][0]
        for m in yaml.safe_load_all(OBJECTS.read_text())
        if m["kind"] == "Deployment"
    }
    for name, container in _containers(replace(SETTINGS, images=None)).items():
        assert container["image"] == upstream[name]["image"]
        assert container.get("command") == upstream[name].get("command")


def test_database_and_store_are_the_given_ones() -> None:
    objects = _objects()
    install = objects["ConfigMap", "pipeline-install-config"]["data"]
    assert (install["mysqlHost"], install["dbPort"]) == ("db.example", "3307")
    assert install["bucketName"] == "runs"
    launcher = objects["ConfigMap", "kfp-launcher"]["data"]
    assert launcher["defaultPipelineRoot"] == "s3://runs/artifacts"
    provider = yaml.safe_load(launcher["providers"])["s3"]["default"]
    assert (provider["endpoint"], provider["region"]) == ("http://s3.example:7070", "eu-west-1")
    argo = objects["ConfigMap", "workflow-controller-configmap"]["data"]
    repository = yaml.safe_load(argo["artifactRepository"])["s3"]
    assert (repository["endpoint"], repository["insecure"]) == ("s3.example:7070", True)


def test_pods_of_a_run_that_went_well_do_not_pile_up() -> None:
    argo = _objects(SETTINGS)["ConfigMap", "workflow-controller-configmap"]["data"]
    collected = yaml.safe_load(argo["workflowDefaults"])["spec"]["podGC"]
    # Those of a failed run stay: its logs are asked for by kubectl.
    assert collected == {"strategy": "OnWorkflowSuccess", "deleteDelayDuration": "10m"}
    assert yaml.safe_load(argo["artifactRepository"])["archiveLogs"] is True


def test_a_secure_store_is_spoken_to_securely() -> None:
    objects = _objects(replace(SETTINGS, store_secure=True, store_port=443))
    provider = yaml.safe_load(objects["ConfigMap", "kfp-launcher"]["data"]["providers"])
    assert provider["s3"]["default"]["endpoint"] == "https://s3.example:443"
    assert provider["s3"]["default"]["disableSSL"] is False


def test_every_custom_resource_that_a_role_names_is_defined() -> None:
    found = kubeflow_manifests.definitions(FOLDER / "cluster-scoped.yaml")
    names = {m["metadata"]["name"] for m in found}
    assert {"workflows.argoproj.io", "scheduledworkflows.kubeflow.org"} <= names
    assert "viewers.kubeflow.org" not in names


def test_manifests_of_another_version_are_refused(tmp_path: Path) -> None:
    documents = [
        m
        for m in yaml.safe_load_all(OBJECTS.read_text())
        if (m["kind"], m["metadata"]["name"]) != ("Deployment", "ml-pipeline")
    ]
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump_all(documents))
    with pytest.raises(ManifestsError, match="has no Deployment ml-pipeline: it is for another"):
        kubeflow_manifests.objects(other, SETTINGS)


@pytest.mark.parametrize("images", [SETTINGS.images, None])
def test_no_password_is_an_argument(images: KubeflowImages | None) -> None:
    objects = _objects(replace(SETTINGS, images=images))
    for name, container in _containers(replace(SETTINGS, images=images)).items():
        secret = {
            entry["name"]
            for entry in container.get("env", [])
            if "secretKeyRef" in entry.get("valueFrom", {})
        }
        for word in [*container.get("command", []), *container.get("args", [])]:
            assert not secret & set(re.findall(r"\$\((\w+)\)", word)), f"{name}: {word}"
    pod = objects["Deployment", "metadata-grpc-deployment"]["spec"]["template"]["spec"]
    (volume,) = pod["volumes"]
    (container,) = pod["containers"]
    (mount,) = container["volumeMounts"]
    assert (mount["name"], volume["secret"]["secretName"]) == (volume["name"], "metadata-store")
    file = f"{mount['mountPath']}/{kubeflow_manifests.METADATA_CONFIG}"
    assert f"--metadata_store_server_config_file={file}" in container["args"]
    assert "--grpc_port=8080" in container["args"]


def test_the_api_server_may_send_any_character() -> None:
    environment = {e["name"]: e.get("value") for e in _containers()["ml-pipeline"]["env"]}
    assert environment["DBCONFIG_MYSQLCONFIG_EXTRAPARAMS"] == '{"charset": "utf8mb4"}'
