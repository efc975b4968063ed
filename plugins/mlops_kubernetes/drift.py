"""What of a resource's inputs the cluster no longer has.

The server itself is asked: a forced dry run of the recorded inputs says what the object would be
if they were applied again. Where that differs from the live object, somebody changed it. Comparing
inputs with the live object directly would take every normalisation and default for drift.
"""

import base64
import binascii
import copy
from typing import Any

from mlops_kubernetes.values import without_nulls


def drifted_inputs(
    inputs: dict[str, Any], wanted: dict[str, Any], live: dict[str, Any]
) -> dict[str, Any]:
    """Return the inputs with the live values in place of those that differ.

    Args:
        inputs: the resource's inputs as they were recorded.
        wanted: the object as a dry run of these inputs gives it.
        live: the object as it is.
    """
    result: dict[str, Any] = {}
    for key, value in inputs.items():
        if key in ("apiVersion", "kind"):
            result[key] = value
        elif key == "stringData" and isinstance(value, dict):
            result[key] = _string_data(value, wanted.get("data") or {}, live.get("data") or {})
        else:
            _take(result, key, value, wanted, live)
    return result


def _take(
    result: dict[str, Any], key: str, value: Any, wanted: dict[str, Any], live: dict[str, Any]
) -> None:
    if key not in wanted:
        # The server ignores or renames this input; it cannot drift.
        result[key] = value
    elif key in live:
        result[key] = _project(value, wanted[key], live[key])
    elif without_nulls(value) not in ({}, [], None, ""):
        return
    else:
        result[key] = value


def _project(value: Any, wanted: Any, live: Any) -> Any:
    if wanted == live:
        return value
    if isinstance(value, dict) and isinstance(wanted, dict) and isinstance(live, dict):
        result: dict[str, Any] = {}
        for key, member in value.items():
            _take(result, key, member, wanted, live)
        return result
    if isinstance(value, list) and isinstance(wanted, list) and isinstance(live, list):
        return _project_list(value, wanted, live)
    return copy.deepcopy(live)


def _project_list(value: list[Any], wanted: list[Any], live: list[Any]) -> list[Any]:
    """Follow the items by name where they have one, else by position."""
    live_by_key = {k: item for item in live if (k := _key(item)) is not None}
    wanted_by_key = {k: item for item in wanted if (k := _key(item)) is not None}
    keys = [_key(item) for item in value]
    if None not in keys and len(set(map(str, keys))) == len(keys):
        return [
            _project(item, wanted_by_key.get(key, live_by_key[key]), live_by_key[key])
            for item, key in zip(value, keys, strict=True)
            if key in live_by_key
        ]
    if len(value) == len(wanted) == len(live):
        return [_project(*three) for three in zip(value, wanted, live, strict=True)]
    return copy.deepcopy(live)


def _key(item: Any) -> Any:
    if not isinstance(item, dict):
        return None
    return item.get("name") or item.get("containerPort") or item.get("mountPath")


def _string_data(
    texts: dict[str, Any], wanted: dict[str, Any], live: dict[str, Any]
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, text in texts.items():
        if wanted.get(key) == live.get(key):
            result[key] = text
        elif key in live:
            try:
                result[key] = base64.b64decode(live[key]).decode()
            except (binascii.Error, UnicodeDecodeError):
                result[key] = live[key]
    return result
