"""The routes of the serving gateway, as they are now, and as they are to be."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flight_rollout.errors import ServingError
from flight_rollout.kubectl import Kubectl

NAMESPACE: Final = "serving-gateway"
ROUTES: Final = "serving-routes"
LABELS: Final = {
    "app.kubernetes.io/name": "serving-gateway",
    "app.kubernetes.io/part-of": "mlops-platform",
}
_SELECTOR: Final = f"app.kubernetes.io/name={LABELS['app.kubernetes.io/name']}"
_SECONDS: Final = 90


@dataclass(frozen=True, kw_only=True)
class Routes:
    """What the gateway was told last.

    Attributes:
        files: its files by name; empty before the first rollout.
        version: Kubernetes' version of them; empty before the first rollout.
    """

    files: dict[str, str]
    version: str


def read(kubectl: Kubectl) -> Routes:
    """Return the routes of now.

    Raises:
        ServingError: the API does not give them.
    """
    found = kubectl.get(f"configmap/{ROUTES}")
    if not found:
        return Routes(files={}, version="")
    (body,) = found
    return Routes(files=body.get("data") or {}, version=body["metadata"]["resourceVersion"])


def write(kubectl: Kubectl, files: Mapping[str, str], *, instead_of: Routes) -> None:
    """Give the gateway these routes; they count for every request when this returns.

    Another configuration is another Pod, which takes over before the old one ends: a weight counts
    at once, not when the node next looks at its ConfigMaps.

    Args:
        kubectl: writes the gateway's namespace.
        files: what `gateway_configuration.render` gave for all routes.
        instead_of: what they were made from; if others have come since, nothing is changed.

    Raises:
        ServingError: somebody else changed the routes meanwhile, or the gateway does not take them.
    """
    if files == instead_of.files:
        return
    metadata: dict[str, Any] = {"name": ROUTES, "labels": LABELS}
    if instead_of.version:
        metadata["resourceVersion"] = instead_of.version
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": files}
    try:
        kubectl.write("replace" if instead_of.version else "create", body)
    except ServingError as error:
        if "Conflict" in str(error) or "AlreadyExists" in str(error):
            raise ServingError(
                "another rollout changed the gateway's routes meanwhile; look at what serves now, "
                "and try again"
            ) from error
        raise
    restart(kubectl)


def restart(kubectl: Kubectl, *, pause: Callable[[float], None] = time.sleep) -> None:
    """Let another Pod with the routes of now take over, and wait until the old one is gone.

    The old one knows the old routes, and clients that are connected to it keep it until it ends.

    Raises:
        ServingError: it does not happen within 90 seconds.
    """
    found = kubectl.get("deployments", f"--selector={_SELECTOR}")
    if not found:
        raise ServingError(f"the namespace {NAMESPACE} holds no gateway; run `make up`")
    name = found[0]["metadata"]["name"]
    before = {pod["metadata"]["uid"] for pod in kubectl.get("pods", f"--selector={_SELECTOR}")}
    kubectl.run("rollout", "restart", f"deployment/{name}")
    words = ("rollout", "status", f"deployment/{name}", f"--timeout={_SECONDS}s")
    kubectl.run(*words, seconds=_SECONDS + 10)
    for _ in range(_SECONDS):
        pods = kubectl.get("pods", f"--selector={_SELECTOR}")
        if not before & {pod["metadata"]["uid"] for pod in pods}:
            return
        pause(1)
    raise ServingError(f"the gateway's Pods of before do not end within {_SECONDS} s")
