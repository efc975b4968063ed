"""Why an object is not ready: its events, its pods' troubles, and the last lines of their logs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from mlops_kubernetes.awaiting.pod import container_statuses, troubles
from mlops_kubernetes.client import ApiError, Client, UnreachableError

_EVENTS: Final = 5
_PODS: Final = 3
_LOG_LINES: Final = 10
_LINE_LENGTH: Final = 400


Clean = Callable[[str], str]
"""Takes secrets out of a text. It comes before a text is cut, or half a secret would stay."""


async def explain(client: Client, live: dict[str, Any], clean: Clean) -> list[str]:
    """Return lines that say why an object is not ready; empty where the cluster does not tell."""
    try:
        pods = await _pods(client, live)
        lines = [line async for line in _events(client, live, clean)]
        for pod in _worst(pods)[:_PODS]:
            lines += [line async for line in _explain_pod(client, pod, live, clean)]
    except (ApiError, UnreachableError):
        return []
    return lines


async def pod_troubles(client: Client, live: dict[str, Any]) -> str:
    """Return in one line what keeps an object's pods from being ready; empty if nothing does."""
    if live.get("kind") == "Pod":
        return ""
    try:
        pods = await _pods(client, live)
    except (ApiError, UnreachableError):
        return ""
    found = [text for pod in _worst(pods) for text in troubles(pod)]
    return "; ".join(dict.fromkeys(found[:2]))


async def _pods(client: Client, live: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the pods that an object is, owns or selects."""
    if live.get("kind") == "Pod":
        return [live]
    spec = live.get("spec") or {}
    selector = spec.get("selector")
    if not isinstance(selector, dict):
        return []
    plain = live.get("kind") in ("Service", "ReplicationController")
    labels = selector if plain else selector.get("matchLabels")
    namespace = live["metadata"].get("namespace")
    if not labels or not namespace:
        return []
    query = ",".join(f"{key}={value}" for key, value in labels.items())
    found = await client.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=query)
    return [{"kind": "Pod", **pod} for pod in found.get("items") or []]


def _worst(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pods in trouble, the youngest first."""
    troubled = [pod for pod in pods if any(troubles(pod))]
    age = "creationTimestamp"
    return sorted(troubled, key=lambda pod: str(pod["metadata"].get(age)), reverse=True)


async def _events(client: Client, value: dict[str, Any], clean: Clean) -> AsyncIterator[str]:
    metadata = value["metadata"]
    namespace = metadata.get("namespace") or "default"
    found = await client.get(
        f"/api/v1/namespaces/{namespace}/events",
        fieldSelector=f"involvedObject.uid={metadata.get('uid')}",
    )
    items = [e for e in found.get("items") or [] if e.get("type") != "Normal"]
    items.sort(key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""))
    for event in items[-_EVENTS:]:
        count = f" ({event['count']} times)" if event.get("count", 1) > 1 else ""
        text = _short(clean(event.get("message") or ""))
        yield f"event [{event.get('reason')}] {text}{count}"


async def _explain_pod(
    client: Client, pod: dict[str, Any], live: dict[str, Any], clean: Clean
) -> AsyncIterator[str]:
    name = pod["metadata"]["name"]
    for trouble in troubles(pod):
        yield f"Pod {name}: {trouble}"
    if pod["metadata"].get("uid") != live["metadata"].get("uid"):
        async for line in _events(client, pod, clean):
            yield f"Pod {name}: {line}"
    for container in container_statuses(pod):
        state = container.get("state") or {}
        ended = (state.get("terminated") or {}).get("exitCode")
        if container.get("ready") or (not container.get("restartCount") and not ended):
            continue
        for line in clean(await _log(client, pod, container)).splitlines():
            yield f"Pod {name}, container {container['name']} | {_short(line)}"


async def _log(client: Client, pod: dict[str, Any], container: dict[str, Any]) -> str:
    """Return the last lines of a container; of its last run, if this one has just begun."""
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log"
    query = {"container": container["name"], "tailLines": str(_LOG_LINES)}
    for previous in ("false", "true") if container.get("restartCount") else ("false",):
        try:
            async with asyncio.timeout(5):
                text = await client.text(path, **query, previous=previous)
        except (ApiError, UnreachableError, TimeoutError):
            continue
        if text.strip():
            return "\n".join(text.strip().splitlines()[-_LOG_LINES:])
    return ""


def _short(text: str) -> str:
    return text if len(text) <= _LINE_LENGTH else f"{text[:_LINE_LENGTH]}…"
