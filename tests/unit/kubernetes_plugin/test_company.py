"""Who deletes a definition or a namespace hears what goes with it."""

from typing import Any

from mlops_kubernetes.client import Client
from mlops_kubernetes.company import taken_along
from mlops_kubernetes.discovery import Discovery, Location
from mlops_kubernetes.kinds import Endpoint, Kind
from mlops_kubernetes.kubeconfig import Access
from tests.unit.kubernetes_plugin.test_not_kubernetes import NOT_FOUND, Answer, said, server

DEFINITION = {
    "spec": {
        "group": "x.invalid",
        "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [{"name": "v1alpha1", "served": False}, {"name": "v1", "served": True}],
    }
}
CRD = Location(
    kind=Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    endpoint=Endpoint("customresourcedefinitions", namespaced=False),
    name="widgets.x.invalid",
)
NAMESPACE = Location(
    kind=Kind("v1", "Namespace"), endpoint=Endpoint("namespaces", namespaced=False), name="here"
)


def listed(*items: dict[str, Any], more: bool = False) -> dict[str, Any]:
    metadata = {"continue": "x"} if more else {}
    return {"kind": "List", "metadata": metadata, "items": [{"metadata": item} for item in items]}


async def company(location: Location, live: dict[str, Any], paths: dict[str, Any]) -> str:
    def answers(path: str) -> Answer:
        return said(paths[path]) if path in paths else said(NOT_FOUND, 404)

    with server(answers) as address:
        client = Client(Access(server=address))
        found = await taken_along(Discovery(client), location, live)
        await client.close()
    return found


async def test_the_objects_of_a_definition_are_named() -> None:
    widgets = [{"namespace": "a", "name": f"w{number}"} for number in range(7)]
    path = "/apis/x.invalid/v1/widgets"
    found = await company(CRD, DEFINITION, {path: listed(*widgets)})
    assert found == "7 Widget (a/w0, a/w1, a/w2, a/w3, a/w4, …)"
    assert (await company(CRD, DEFINITION, {path: listed(*widgets[:1], more=True)})).startswith(
        "1 or more Widget (a/w0"
    )
    assert not await company(CRD, DEFINITION, {path: listed()})
    # What may not be listed does not hold the deletion up.
    assert not await company(CRD, DEFINITION, {})


async def test_what_somebody_made_in_a_namespace_is_named() -> None:
    group = {
        "name": "x.invalid",
        "preferredVersion": {"groupVersion": "x.invalid/v1"},
        "versions": [{"groupVersion": "x.invalid/v1"}],
    }
    widgets = {"kind": "Widget", "name": "widgets", "namespaced": True}
    owned = {"name": "web-1", "ownerReferences": [{"name": "web"}]}
    going = {"name": "old", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    paths = {
        "/apis": {"kind": "APIGroupList", "groups": [group]},
        "/apis/x.invalid/v1": {"kind": "APIResourceList", "resources": [widgets]},
        "/apis/x.invalid/v1/namespaces/here/widgets": listed({"name": "w", "namespace": "here"}),
        "/api/v1/namespaces/here/pods": listed(owned, going),
        "/api/v1/namespaces/here/configmaps": listed({"name": "kube-root-ca.crt"}),
        "/api/v1/namespaces/here/persistentvolumeclaims": listed({"name": "data"}),
    }
    found = await company(NAMESPACE, {}, paths)
    assert found == "1 PersistentVolumeClaim (data); 1 Widget (w)"


async def test_other_objects_take_nothing_along() -> None:
    pod = Location(kind=Kind("v1", "Pod"), endpoint=Endpoint("pods", namespaced=True), name="p")
    assert not await company(pod, {}, {})
