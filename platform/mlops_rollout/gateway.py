"""The routes of the serving gateway, as they are now, and as they are to be."""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from mlops_rollout import gateway_configuration
from mlops_rollout.errors import ServingError
from mlops_rollout.kubectl import Kubectl

NAMESPACE: Final = "serving-gateway"
ROUTES: Final = "serving-routes"
LABELS: Final = {
    "app.kubernetes.io/name": "serving-gateway",
    "app.kubernetes.io/part-of": "mlops-platform",
}
_SELECTOR: Final = f"app.kubernetes.io/name={LABELS['app.kubernetes.io/name']}"
_SECONDS: Final = 90
# On the routes, and on the gateway that has read them: another writing is another one.
_WRITING: Final = "mlops-platform/routes"
_RECORD: Final = "mlops-platform/rollout"


@dataclass(frozen=True, kw_only=True)
class Routes:
    """What the gateway was told last.

    Attributes:
        files: its files by name; empty before the first rollout.
        version: Kubernetes' version of them; empty before the first rollout.
        writing: names the writing; empty for one of an older release.
        records: what each model's last rollout was of, by the model's name.
    """

    files: dict[str, str]
    version: str
    writing: str = ""
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    def name(self, host: str) -> bool:
        """Return whether they lead to a host."""
        return any(host in text for text in self.files.values())


def read(kubectl: Kubectl) -> Routes:
    """Return the routes of now.

    Raises:
        ServingError: the API does not give them.
    """
    found = kubectl.get(f"configmap/{ROUTES}")
    if not found:
        return Routes(files={}, version="")
    (body,) = found
    metadata = body["metadata"]
    annotations = metadata.get("annotations") or {}
    files = body.get("data") or {}
    return Routes(
        files=files,
        version=metadata["resourceVersion"],
        writing=annotations.get(_WRITING, ""),
        records=_records(annotations.get(_RECORD, ""), files),
    )


def is_told(kubectl: Kubectl, routes: Routes) -> bool:
    """Return whether the gateway has taken these routes, which are those of now.

    Raises:
        ServingError: the API does not say, or there is no gateway.
    """
    body = _deployment(kubectl)
    annotations = body["spec"]["template"]["metadata"].get("annotations") or {}
    status, wanted = body.get("status") or {}, body["spec"].get("replicas", 1)
    counts = [status.get(key) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    seen = status.get("observedGeneration") == body["metadata"].get("generation")
    return bool(annotations.get(_WRITING, "") == routes.writing and seen and counts == [wanted] * 3)


def write(
    kubectl: Kubectl,
    files: Mapping[str, str],
    *,
    instead_of: Routes,
    records: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Give the gateway these routes; they count for every request when this returns.

    Another configuration is another Pod, which takes over before the old one ends: a weight counts
    at once, not when the node next looks at its ConfigMaps. If the gateway does not take them, or
    this is interrupted, the routes of before are put back.

    Args:
        kubectl: writes the gateway's namespace.
        files: what `gateway_configuration.render` gave for all routes.
        instead_of: what they were made from; if others have come since, nothing is changed.
        records: kept beside them, by the model's name; None for those that are there.

    Raises:
        ServingError: somebody else changed the routes meanwhile, or the gateway does not take them.
    """
    kept = instead_of.records if records is None else records
    if files == instead_of.files and is_told(kubectl, instead_of):
        if kept != instead_of.records:
            _put(kubectl, files, kept, version=instead_of.version, writing=instead_of.writing)
        return
    writing = uuid.uuid4().hex
    try:
        _put(kubectl, files, kept, version=instead_of.version, writing=writing)
        restart(kubectl)
    except BaseException:
        _put_back(kubectl, instead_of, writing)
        raise


def note(kubectl: Kubectl, model: str, record: Mapping[str, Any]) -> None:
    """Keep another record of a model beside the routes of now, which stay.

    Raises:
        ServingError: somebody else changed the routes meanwhile.
    """
    now = read(kubectl)
    records = {**now.records, model: record}
    _put(kubectl, now.files, records, version=now.version, writing=now.writing)


def restart(kubectl: Kubectl, *, pause: Callable[[float], None] = time.sleep) -> None:
    """Let another Pod with the routes of now take over, and wait until the old one is gone.

    The old one knows the old routes, and clients that are connected to it keep it until it ends.

    Raises:
        ServingError: it does not happen within 90 seconds.
    """
    name = _deployment(kubectl)["metadata"]["name"]
    before = {pod["metadata"]["uid"] for pod in kubectl.get("pods", f"--selector={_SELECTOR}")}
    annotations = {
        # What `kubectl rollout restart` writes.
        "kubectl.kubernetes.io/restartedAt": datetime.now(UTC).isoformat(),
        _WRITING: read(kubectl).writing,
    }
    change = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    kubectl.run("patch", f"deployment/{name}", "--patch", json.dumps(change))
    words = ("rollout", "status", f"deployment/{name}", f"--timeout={_SECONDS}s")
    kubectl.run(*words, seconds=_SECONDS + 10)
    for _ in range(_SECONDS):
        pods = kubectl.get("pods", f"--selector={_SELECTOR}")
        if not before & {pod["metadata"]["uid"] for pod in pods}:
            return
        pause(1)
    raise ServingError(f"the gateway's Pods of before do not end within {_SECONDS} s")


def _put(
    kubectl: Kubectl,
    files: Mapping[str, str],
    records: Mapping[str, Mapping[str, Any]],
    *,
    version: str,
    writing: str,
) -> None:
    annotations = {_WRITING: writing, _RECORD: json.dumps(records, sort_keys=True)}
    metadata: dict[str, Any] = {"name": ROUTES, "labels": LABELS, "annotations": annotations}
    if version:
        metadata["resourceVersion"] = version
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(files)}
    try:
        kubectl.write("replace" if version else "create", body)
    except ServingError as error:
        if "Conflict" in str(error) or "AlreadyExists" in str(error):
            raise ServingError(
                "another rollout changed the gateway's routes meanwhile; look at what serves now, "
                "and try again"
            ) from error
        raise


def _put_back(kubectl: Kubectl, before: Routes, writing: str) -> None:
    """Give the gateway the routes of before, if those of now are this writing."""
    try:
        now = read(kubectl)
        if now.writing != writing:
            return
        files, records = before.files, before.records
        _put(kubectl, files, records, version=now.version, writing=uuid.uuid4().hex)
        restart(kubectl)
    except ServingError as error:
        print(f"the routes of before could not be put back: {error}", flush=True)


def _deployment(kubectl: Kubectl) -> dict[str, Any]:
    found = kubectl.get("deployments", f"--selector={_SELECTOR}")
    if not found:
        raise ServingError(f"the namespace {NAMESPACE} holds no gateway; run `make up`")
    return found[0]


def _records(text: str, files: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    if "champion" in found:  # of release 0.1.0, which knew one model
        return dict.fromkeys(gateway_configuration.models(files), found)
    return {model: record for model, record in found.items() if isinstance(record, dict)}
