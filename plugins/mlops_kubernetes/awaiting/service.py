"""Services: the Pods behind them are ready. Ingresses: they have an address, and Services."""

from typing import Any, Final

from mlops_kubernetes.awaiting.verdict import (
    READY,
    UNCERTAIN_SECONDS,
    Look,
    Verdict,
    spec,
    status,
    waiting,
)

# Controllers take about a second from a workload to its Pods.
_FIRST_POD_SECONDS: Final = 5.0
_INGRESS_CLASSES: Final = "/apis/networking.k8s.io/v1/ingressclasses"
_OLD_CLASS: Final = "kubernetes.io/ingress.class"
_CONTROLLER: Final = (
    "addresses come from an ingress controller: install one that runs, or name its class"
)
_SLICES: Final = "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"


async def judge_service(value: dict[str, Any], look: Look) -> Verdict:
    """Wait until one of its Pods is ready and, for a load balancer, for its address.

    Nothing is waited for behind a Service that is headless, an alias, or without selector; nor
    behind one that selects no Pod: its Pods may be scaled to zero, or wait for this very Service.
    """
    wanted = spec(value)
    if wanted.get("type") == "ExternalName":
        return READY
    headless = wanted.get("clusterIP") == "None"
    if wanted.get("selector") and not headless and not await _has_endpoint(value, look):
        pods = await _pods(value, look)
        if pods:
            return waiting(f"the Service leads to no ready Pod: none of {len(pods)} is ready")
        if look.seconds < _FIRST_POD_SECONDS:
            return waiting("no Pod matches the Service's selector yet")
    if wanted.get("type") == "LoadBalancer" and not _addresses(value):
        return waiting(
            "the Service has no load balancer address",
            warning="does the cluster provide load balancers? On one that does not, use another "
            "type",
            warn_after=UNCERTAIN_SECONDS,
        )
    return READY


async def judge_ingress(value: dict[str, Any], look: Look) -> Verdict:
    """Wait for an address and for the Services that the rules name."""
    namespace = value["metadata"]["namespace"]
    for name in sorted(_backends(value)):
        if await look.get(f"/api/v1/namespaces/{namespace}/services/{name}") is None:
            return waiting(f"the Ingress leads to Service {name!r}, which does not exist")
    if not _addresses(value):
        return await _without_address(value, look)
    return READY


async def _without_address(value: dict[str, Any], look: Look) -> Verdict:
    """Say at once what is sure to be missing, and after a while what may be."""
    message = "the Ingress has no address"
    name = spec(value).get("ingressClassName")
    annotations = value["metadata"].get("annotations") or {}
    if name and await look.get(f"{_INGRESS_CLASSES}/{name}") is None:
        return waiting(message, warning=f"there is no IngressClass {name!r}; {_CONTROLLER}")
    if not name and _OLD_CLASS not in annotations and not await look.list(_INGRESS_CLASSES):
        return waiting(message, warning=f"the cluster has no IngressClass; {_CONTROLLER}")
    return waiting(message, warning=_CONTROLLER, warn_after=UNCERTAIN_SECONDS)


async def _has_endpoint(value: dict[str, Any], look: Look) -> bool:
    metadata = value["metadata"]
    slices = await look.list(
        _SLICES.format(namespace=metadata["namespace"]),
        labels=f"kubernetes.io/service-name={metadata['name']}",
    )
    # An endpoint without the condition counts as ready, says the API.
    return any(
        (endpoint.get("conditions") or {}).get("ready") is not False
        for found in slices
        for endpoint in found.get("endpoints") or []
    )


async def _pods(value: dict[str, Any], look: Look) -> list[dict[str, Any]]:
    """Return the Pods that a Service selects and that have not ended."""
    labels = ",".join(f"{name}={wanted}" for name, wanted in spec(value)["selector"].items())
    path = f"/api/v1/namespaces/{value['metadata']['namespace']}/pods"
    found = await look.list(path, labels=labels)
    return [pod for pod in found if status(pod).get("phase") not in ("Succeeded", "Failed")]


def _addresses(value: dict[str, Any]) -> list[Any]:
    return list((status(value).get("loadBalancer") or {}).get("ingress") or [])


def _backends(value: dict[str, Any]) -> set[str]:
    backends = [spec(value).get("defaultBackend") or {}]
    for rule in spec(value).get("rules") or []:
        backends += [p.get("backend") or {} for p in (rule.get("http") or {}).get("paths") or []]
    return {name for b in backends if (name := (b.get("service") or {}).get("name"))}
