"""Objects as they are sent to the cluster and as they are kept in the stack's state."""

import base64
import copy
from typing import Any, Final

from mlops_kubernetes import kinds
from mlops_kubernetes.paths import PropertyPath
from mlops_kubernetes.values import UNKNOWN, Properties, without_nulls

FIELD_MANAGER: Final = "__fieldManager"
INITIAL_API_VERSION: Final = "__initialApiVersion"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_INTERNAL: Final = (FIELD_MANAGER, INITIAL_API_VERSION, "__inputs")
_SERVER_METADATA: Final = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
# What the server allocates when it really creates an object; its dry run answers with values that
# the object will not have.
_ALLOCATED_METADATA: Final = ("uid", "resourceVersion", "creationTimestamp")
_ALLOCATED: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("", "Service"): ("clusterIP", "clusterIPs", "healthCheckNodePort"),
    ("", "PersistentVolumeClaim"): ("volumeName",),
    ("", "Pod"): ("nodeName",),
    ("batch", "Job"): ("selector",),
}


def manifest(inputs: dict[str, Any], *, namespace: str = "", name: str = "") -> dict[str, Any]:
    """Return the object to send to the cluster.

    Args:
        inputs: the resource's inputs, all known.
        namespace: where the object lives; empty for a cluster-scoped one.
        name: the object's name, where the inputs leave it to the server.
    """
    body: dict[str, Any] = copy.deepcopy(without_nulls(inputs))
    for key in _INTERNAL:
        body.pop(key, None)
    body["apiVersion"] = kinds.of_object(body).api_version
    metadata = body.setdefault("metadata", {})
    for key in (*_SERVER_METADATA, "namespace"):
        metadata.pop(key, None)
    if namespace:
        metadata["namespace"] = namespace
    if name:
        metadata["name"] = name
        metadata.pop("generateName", None)
    if _is_secret(body) and "stringData" in body:
        # The server folds stringData into data and forgets who owned what; data it keeps apart.
        texts = body.pop("stringData")
        encoded = {k: base64.b64encode(str(v).encode()).decode() for k, v in texts.items()}
        body["data"] = {**(body.get("data") or {}), **encoded}
    return body


def state(live: dict[str, Any], inputs: Properties, *, manager: str) -> Properties:
    """Return what the stack keeps of a live object."""
    value = copy.deepcopy(live)
    value.get("metadata", {}).pop("managedFields", None)
    if _is_secret(value) and isinstance(inputs.value.get("stringData"), dict):
        # The server gives back data only; programs may read what they wrote.
        value["stringData"] = inputs.value["stringData"]
    value[FIELD_MANAGER] = manager
    value[INITIAL_API_VERSION] = value.get("apiVersion", inputs.value.get("apiVersion"))
    return Properties(value=value, secrets=secret_paths(value, inputs.secrets))


def preview_of_creation(answer: dict[str, Any], inputs: Properties) -> Properties:
    """Return the state that a creation will lead to, from a dry run's answer or from the inputs.

    What only the real creation decides is unknown.
    """
    value = copy.deepcopy(answer)
    metadata = value.setdefault("metadata", {})
    if isinstance(metadata, dict):
        metadata.pop("managedFields", None)
        metadata.update(dict.fromkeys(_ALLOCATED_METADATA, UNKNOWN))
        if "generateName" in metadata:
            metadata["name"] = UNKNOWN
    if not _is_secret(value) and kinds.of_object(value).kind != "ConfigMap":
        value["status"] = UNKNOWN
    if _is_secret(value) and "stringData" in inputs.value:
        value["stringData"] = inputs.value["stringData"]
    _forget_allocated(value, inputs.value)
    return Properties(value=value, secrets=secret_paths(value, inputs.secrets))


def preview_of_update(old_state: dict[str, Any], inputs: Properties) -> Properties:
    """Return the state that an update will lead to, from the old state and the inputs alone."""
    value = {**{k: v for k, v in old_state.items() if k not in inputs.value}, **inputs.value}
    old_metadata, new_metadata = old_state.get("metadata"), inputs.value.get("metadata")
    if isinstance(old_metadata, dict) and isinstance(new_metadata, dict):
        value["metadata"] = {**old_metadata, **new_metadata}
    old_spec, new_spec = old_state.get("spec"), inputs.value.get("spec")
    if isinstance(old_spec, dict) and isinstance(new_spec, dict):
        # The server's defaults and allocations stay as they are.
        value["spec"] = {**old_spec, **new_spec}
    return Properties(value=value, secrets=secret_paths(value, inputs.secrets))


def secret_paths(
    value: dict[str, Any], marked: frozenset[PropertyPath] = frozenset()
) -> frozenset[PropertyPath]:
    """Return the secret paths of an object: the program's, and those of every Secret."""
    found = set(marked)
    if _is_secret(value):
        found.update(PropertyPath((key,)) for key in ("data", "stringData") if key in value)
        found.add(PropertyPath(("metadata", "annotations", LAST_APPLIED)))
        for path in marked:
            if path.parts[0] == "stringData":
                found.add(PropertyPath(("data",)))
    return frozenset(found)


def imported_inputs(live: dict[str, Any]) -> dict[str, Any]:
    """Return a live object without what only the server writes."""
    value = copy.deepcopy(live)
    value.pop("status", None)
    metadata = value.get("metadata", {})
    for key in _SERVER_METADATA:
        metadata.pop(key, None)
    annotations = metadata.get("annotations") or {}
    annotations.pop(LAST_APPLIED, None)
    if not annotations:
        metadata.pop("annotations", None)
    return value


def _is_secret(value: dict[str, Any]) -> bool:
    kind = kinds.of_object(value)
    return (kind.group, kind.kind) == ("", "Secret")


def _forget_allocated(value: dict[str, Any], inputs: dict[str, Any]) -> None:
    kind = kinds.of_object(value)
    spec, given = value.get("spec"), inputs.get("spec")
    if not isinstance(spec, dict) or not isinstance(given, dict):
        return
    for key in _ALLOCATED.get((kind.group, kind.kind), ()):
        if key in spec and key not in given:
            spec[key] = UNKNOWN
    if kind.kind == "Service" and isinstance(spec.get("ports"), list):
        asked = given.get("ports")
        for index, port in enumerate(spec["ports"]):
            known = isinstance(asked, list) and index < len(asked) and "nodePort" in asked[index]
            if "nodePort" in port and not known:
                port["nodePort"] = UNKNOWN
