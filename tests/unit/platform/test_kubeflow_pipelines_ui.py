"""The UI of Kubeflow Pipelines, as it is registered."""

from types import SimpleNamespace
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from mlops_infra.buckets import Buckets, BucketsArgs, ObjectStore
from mlops_platform.pipelines import kubeflow_pipelines_ui
from mlops_platform.pipelines.kubeflow_pipelines_ui import (
    KubeflowPipelinesUi,
    KubeflowPipelinesUiArgs,
    KubeflowUiImages,
)
from mlops_toolchain import artefacts, images
from tests.unit import recording

OURS = KubeflowUiImages(
    server=images.reference("kubeflow-pipelines-ui"),
    metadata_proxy=images.reference("grpcwebproxy"),
)
# What upstream's role allows, without its viewers: this one must stay within it.
UPSTREAM = {
    ("", "pods"): {"get"},
    ("", "pods/log"): {"get"},
    ("", "events"): {"list"},
    ("", "secrets"): {"get", "list"},
    ("", "configmaps"): {"get", "list"},
    ("argoproj.io", "workflows"): {"get", "list"},
}


def _run(
    endpoint: str = "http://s3.s3.svc.cluster.local:7070", *, pulls_published: bool = False
) -> tuple[recording.Recorder, list[str]]:
    urls: list[str] = []

    def program() -> None:
        cluster = recording.cluster("10.0.0.1", pulls_published=pulls_published)
        store = ObjectStore(
            endpoint=pulumi.Output.from_input("http://10.0.0.1:30000"),
            cluster_endpoint=endpoint,
            shared_endpoint=pulumi.Output.from_input("http://10.0.0.1:30000"),
            region="eu-west-1",
            access_key=pulumi.Output.secret("AK"),
            secret_key=pulumi.Output.secret("SK"),
        )
        buckets = Buckets("buckets", BucketsArgs(store=store, ephemeral=True))
        namespace = kubernetes.core.v1.Namespace(
            "kubeflow",
            metadata={"name": "kubeflow"},
            opts=pulumi.ResourceOptions(provider=cluster.kubernetes),
        )
        pipelines: Any = SimpleNamespace(namespace=namespace.metadata.name, store_keys="digest")
        ui = KubeflowPipelinesUi(
            "ui",
            KubeflowPipelinesUiArgs(
                cluster=cluster,
                buckets=buckets,
                pipelines=pipelines,
            ),
        )
        ui.url.apply(urls.append)

    return recording.run(program), urls


def _container(found: recording.Recorder, deployment: str) -> dict[str, Any]:
    (container,) = found.named(deployment).inputs["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def _environment(found: recording.Recorder) -> dict[str, str]:
    variables = _container(found, "ui-server")["env"]
    return {entry["name"]: entry["value"] for entry in variables if "value" in entry}


def test_its_address_is_a_node_port_of_the_server() -> None:
    found, urls = _run()
    assert urls == ["http://10.0.0.1:30000"]
    service = found.named("ui-service").inputs["spec"]
    labels = found.named("ui-server").inputs["spec"]["template"]["metadata"]["labels"]
    assert service["type"] == "NodePort"
    assert service["selector"].items() <= labels.items()
    ports = {port["name"] for port in _container(found, "ui-server")["ports"]}
    assert {port["targetPort"] for port in service["ports"]} <= ports


def test_the_server_finds_the_metadata_proxy() -> None:
    found, _ = _run()
    environment = _environment(found)
    service = found.named("ui-metadata-proxy-service").inputs
    assert environment["METADATA_ENVOY_SERVICE_SERVICE_HOST"] == service["metadata"]["name"]
    (port,) = service["spec"]["ports"]
    assert environment["METADATA_ENVOY_SERVICE_SERVICE_PORT"] == str(int(port["port"]))
    assert "type" not in service["spec"]  # within the cluster only


@pytest.mark.parametrize(
    ("endpoint", "host", "port", "secure"),
    [
        ("http://s3.s3.svc.cluster.local:7070", "s3.s3.svc.cluster.local", "7070", "false"),
        ("https://s3.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com", "443", "true"),
        ("http://minio.example", "minio.example", "80", "false"),
    ],
)
def test_artifacts_come_from_the_store(endpoint: str, host: str, port: str, secure: str) -> None:
    environment = _environment(_run(endpoint=endpoint)[0])
    # An empty namespace, or the server would append its own to the host.
    assert environment["MINIO_NAMESPACE"] == ""
    assert environment["MINIO_HOST"] == environment["AWS_S3_ENDPOINT"] == host
    assert environment["MINIO_PORT"] == port
    assert environment["ALLOWED_ARTIFACT_ENDPOINTS"] == f"{host}:{port}"
    assert environment["MINIO_SSL"] == environment["AWS_SSL"] == secure
    assert environment["AWS_REGION"] == "eu-west-1"


def test_keys_come_from_the_secret_of_kubeflow() -> None:
    found, _ = _run()
    references = {
        entry["name"]: entry["valueFrom"]["secretKeyRef"]
        for entry in _container(found, "ui-server")["env"]
        if "valueFrom" in entry
    }
    assert set(references) == {
        "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    }  # fmt: skip
    for name, reference in references.items():
        assert reference["name"] == "mlpipeline-minio-artifact"
        assert reference["key"] == ("secretkey" if "SECRET" in name else "accesskey")
    assert not found.of(":Secret")


def test_the_server_fetches_no_address_that_a_visitor_names() -> None:
    assert _environment(_run()[0])["ALLOWED_ARTIFACT_DOMAIN_REGEX"] == "^$"


def test_its_account_may_do_no_more_than_upstreams() -> None:
    found, _ = _run()
    rules = found.named("ui-role").inputs["rules"]
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                assert set(rule["verbs"]) <= UPSTREAM[group, resource]
    (secrets,) = [rule for rule in rules if "secrets" in rule["resources"]]
    assert secrets["resourceNames"] == ["mlpipeline-minio-artifact"]
    assert secrets["verbs"] == ["get"]
    binding = found.named("ui-role-binding").inputs
    assert binding["roleRef"]["name"] == found.named("ui-role").inputs["metadata"]["name"]
    pod = found.named("ui-server").inputs["spec"]["template"]["spec"]
    assert [subject["name"] for subject in binding["subjects"]] == [pod["serviceAccountName"]]
    assert not found.of(":ClusterRole")


def test_only_the_server_holds_an_account() -> None:
    found, _ = _run()
    tokens = {
        deployment.name: deployment.inputs["spec"]["template"]["spec"][
            "automountServiceAccountToken"
        ]
        for deployment in found.of(":Deployment")
    }
    assert tokens == {"ui-server": True, "ui-metadata-proxy": False}


@pytest.mark.parametrize("deployment", ["ui-server", "ui-metadata-proxy"])
@pytest.mark.parametrize("pulls_published", [False, True])
def test_every_pod_is_restricted_bounded_and_probed(deployment: str, pulls_published: bool) -> None:
    found, _ = _run(pulls_published=pulls_published)
    pod = found.named(deployment).inputs["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] != 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    container = _container(found, deployment)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} <= set(container["resources"])
    assert {"readinessProbe", "livenessProbe"} <= set(container)


def test_other_clusters_pull_what_upstream_publishes() -> None:
    found, _ = _run(pulls_published=True)
    assert kubeflow_pipelines_ui.VERSION == artefacts.KUBEFLOW_PIPELINES
    for deployment, image in (
        ("ui-server", "kfp-frontend"),
        ("ui-metadata-proxy", "kfp-metadata-envoy"),
    ):
        container = _container(found, deployment)
        assert container["image"] == f"ghcr.io/kubeflow/{image}:{artefacts.KUBEFLOW_PIPELINES}"
        assert not {"command", "args"} & set(container)


def test_everything_is_in_the_namespace_of_kubeflow() -> None:
    found, _ = _run()
    objects = [
        r for r in found.resources if r.typ.startswith("kubernetes:") and r.name != "kubeflow"
    ]
    assert len(objects) == 7
    assert {r.inputs["metadata"]["namespace"] for r in objects} == {"kubeflow"}
