"""An object is gone when the API server says so, not when its version is no longer served."""

import secrets
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from tests.conformance.cluster import Cluster
from tests.conformance.conftest import Make
from tests.conformance.manifests import (
    CONFIG_MAP,
    config_map,
    custom_object,
    definition,
    versioned_definition,
)
from tests.conformance.protocol import OperationFailedError, Plugin, Resource, eventually

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
def group(cluster: Cluster) -> Iterator[str]:
    """A group of its own; what is defined in it is removed afterwards."""
    name = f"{secrets.token_hex(4)}.conformance.invalid"
    yield name
    cluster.delete(f"{DEFINITIONS}/widgets.{name}")


@pytest.fixture
def old_widget(make: Make, cluster: Cluster, namespace: str, group: str) -> Resource:
    """An object in a version beside the one that is stored."""
    cluster.create(DEFINITIONS, versioned_definition(group, v1alpha1=True, v1=True))
    inputs = custom_object(group, namespace, "w")
    inputs["apiVersion"] = f"{group}/v1alpha1"
    return make(f"kubernetes:{group}/v1alpha1:Widget").create(inputs)


def serve(cluster: Cluster, group: str, **served: bool) -> None:
    """Change which versions are served, and wait until the API server does so."""
    body = versioned_definition(group, **served)
    cluster.merge(f"{DEFINITIONS}/widgets.{group}", {"spec": body["spec"]})
    for version, wanted in served.items():
        path = f"/apis/{group}/{version}/widgets"
        eventually(lambda p=path, w=wanted: (cluster.http.get(p).status_code == 200) is w)


def test_an_object_of_an_unserved_version_is_found_and_deleted(
    cluster: Cluster, namespace: str, group: str, old_widget: Resource
) -> None:
    serve(cluster, group, v1alpha1=False, v1=True)
    old_widget.refresh()
    assert old_widget.identity == f"{namespace}/w"
    assert old_widget.state.value["apiVersion"] == f"{group}/v1"
    assert old_widget.inputs.value["apiVersion"] == f"{group}/v1alpha1"
    assert old_widget.inputs.value["spec"] == {"size": 3}

    old_widget.delete(timeout=60)
    assert cluster.get(f"/apis/{group}/v1/namespaces/{namespace}/widgets/w") is None


def test_a_kind_that_is_not_served_at_all_is_no_missing_object(
    cluster: Cluster, namespace: str, group: str, old_widget: Resource
) -> None:
    serve(cluster, group, v1alpha1=False, v1=False)
    with pytest.raises(OperationFailedError, match="serves no version of Widget"):
        old_widget.refresh()
    with pytest.raises(OperationFailedError, match="serves no version of Widget"):
        old_widget.delete(timeout=5)
    serve(cluster, group, v1alpha1=False, v1=True)
    assert cluster.get(f"/apis/{group}/v1/namespaces/{namespace}/widgets/w")


def test_a_wrong_version_names_the_served_ones(
    make: Make, cluster: Cluster, namespace: str, group: str
) -> None:
    cluster.create(DEFINITIONS, definition(group))
    eventually(lambda: cluster.http.get(f"/apis/{group}/v1/widgets").status_code == 200)
    inputs = custom_object(group, namespace, "w")
    widget = make(f"kubernetes:{group}/v2:Widget")
    widget.identity = f"{namespace}/w"
    widget.inputs = widget.check({**inputs, "apiVersion": f"{group}/v2"})
    assert widget.refresh().identity == "", "the object does not exist in any version"


def test_without_its_definition_an_object_is_gone(
    make: Make, cluster: Cluster, namespace: str, group: str
) -> None:
    cluster.create(DEFINITIONS, definition(group))
    widget = make(f"kubernetes:{group}/v1:Widget").create(custom_object(group, namespace, "w"))
    cluster.delete(f"{DEFINITIONS}/widgets.{group}")
    eventually(lambda: cluster.get(f"{DEFINITIONS}/widgets.{group}") is None)
    widget.delete()
    assert widget.refresh().identity == ""


def test_an_object_of_a_builtin_version_that_never_was_is_not_forgotten(
    make: Make, cluster: Cluster, namespace: str
) -> None:
    """As after an upgrade of Kubernetes that removes a version."""
    path = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    spec = {"selector": {"matchLabels": {"app": "x"}}, "minAvailable": 1}
    cluster.create(path, {"metadata": {"name": "old"}, "spec": spec})
    budget = make("kubernetes:policy/v1beta1:PodDisruptionBudget")
    budget.identity = f"{namespace}/old"
    budget.inputs = budget.check(
        {
            "apiVersion": "policy/v1beta1",
            "kind": "PodDisruptionBudget",
            "metadata": {"namespace": namespace, "name": "old"},
            "spec": spec,
        }
    )
    assert budget.refresh().identity == f"{namespace}/old"
    budget.delete(timeout=30)
    assert cluster.get(f"{path}/old") is None


def test_an_aggregated_api_that_is_down_is_an_error(
    make: Make, cluster: Cluster, namespace: str, group: str
) -> None:
    services = "/apis/apiregistration.k8s.io/v1/apiservices"
    spec = {
        "group": group,
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"namespace": namespace, "name": "nobody"},
    }
    cluster.create(services, {"metadata": {"name": f"v1.{group}"}, "spec": spec})
    try:
        eventually(lambda: cluster.http.get(f"/apis/{group}/v1").status_code == 503)
        widget = make(f"kubernetes:{group}/v1:Widget")
        widget.identity = f"{namespace}/w"
        widget.inputs = widget.check(custom_object(group, namespace, "w"))
        with pytest.raises(OperationFailedError, match="503"):
            widget.refresh()
        with pytest.raises(OperationFailedError, match="503"):
            widget.delete(timeout=5)
    finally:
        cluster.delete(f"{services}/v1.{group}")


def test_a_web_server_at_the_address_does_not_empty_the_stack(
    make: Make, start: Callable[..., Plugin], cluster: Cluster, namespace: str
) -> None:
    resource = make(CONFIG_MAP).create(config_map(namespace, "conf"))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        for entry in config["clusters"]:
            entry["cluster"] = {"server": f"http://127.0.0.1:{server.server_port}"}
        resource.plugin = start(kubeconfig=yaml.safe_dump(config))
        with pytest.raises(OperationFailedError, match="no Kubernetes API server answers at"):
            resource.refresh()
        with pytest.raises(OperationFailedError, match="no Kubernetes API server answers at"):
            resource.delete()
        server.shutdown()
    assert resource.identity == f"{namespace}/conf"
    assert cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/conf")


def test_the_deletion_of_a_definition_and_of_a_namespace_names_what_goes_along(
    make: Make, cluster: Cluster, group: str
) -> None:
    home = make("kubernetes:core/v1:Namespace", "home").create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {}}
    )
    crd = make("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", "widgets")
    crd.create(definition(group))
    widget = custom_object(group, home.object_name, "w")
    eventually(lambda: cluster.http.get(f"/apis/{group}/v1/widgets").status_code == 200)
    cluster.create(f"/apis/{group}/v1/namespaces/{home.object_name}/widgets", widget)
    cluster.create(f"/api/v1/namespaces/{home.object_name}/configmaps", {"metadata": {"name": "c"}})
    crd.delete(timeout=60)
    assert f"also deletes 1 Widget ({home.object_name}/w)" in crd.plugin.engine.text
    home.delete(timeout=60)
    assert "also deletes 1 ConfigMap (c)" in home.plugin.engine.text
