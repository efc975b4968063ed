"""Services: they lead somewhere. Ingresses: they have an address and services behind them."""

from typing import Any, Final

from mlops_kubernetes.awaiting.verdict import READY, Look, Verdict, spec, status, waiting

_SLICES: Final = "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"


async def judge_service(value: dict[str, Any], look: Look) -> Verdict:
    """Wait for a ready endpoint and, for a load balancer, for its address.

    Nothing is waited for behind a Service that is headless, an alias, or without selector.
    """
    wanted = spec(value)
    if wanted.get("type") == "ExternalName":
        return READY
    headless = wanted.get("clusterIP") == "None"
    if wanted.get("selector") and not headless and not await _has_endpoint(value, look):
        return waiting(
            "the Service leads to no ready Pod: none matches spec.selector, or none is ready"
        )
    if wanted.get("type") == "LoadBalancer" and not _addresses(value):
        return waiting("the Service has no load balancer address; does the cluster provide them?")
    return READY


async def judge_ingress(value: dict[str, Any], look: Look) -> Verdict:
    """Wait for an address and for the Services that the rules name."""
    namespace = value["metadata"]["namespace"]
    for name in sorted(_backends(value)):
        if await look.get(f"/api/v1/namespaces/{namespace}/services/{name}") is None:
            return waiting(f"the Ingress leads to Service {name!r}, which does not exist")
    if not _addresses(value):
        return waiting("the Ingress has no address; is an ingress controller running?")
    return READY


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


def _addresses(value: dict[str, Any]) -> list[Any]:
    return list((status(value).get("loadBalancer") or {}).get("ingress") or [])


def _backends(value: dict[str, Any]) -> set[str]:
    backends = [spec(value).get("defaultBackend") or {}]
    for rule in spec(value).get("rules") or []:
        backends += [p.get("backend") or {} for p in (rule.get("http") or {}).get("paths") or []]
    return {name for b in backends if (name := (b.get("service") or {}).get("name"))}
