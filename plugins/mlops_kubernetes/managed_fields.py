"""Reads `metadata.managedFields`: which part of an object a field manager applied.

The format is that of structured-merge-diff's fieldpath package: `f:name` is a member, `k:{…}` the
item of a list with these keys, `v:…` the item with this value, `i:0` the item at this place, and
`.` the thing itself.
"""

import json
from typing import Any


def applied_fields(live: dict[str, Any]) -> dict[str, Any] | None:
    """Return the part of an object that was applied, None when nothing was applied.

    An object that was created by another way than apply has managed fields too, but they name
    every default of the server as well.
    """
    entries = live.get("metadata", {}).get("managedFields") or []
    applied = [e for e in entries if e.get("operation") == "Apply" and not e.get("subresource")]
    if not applied:
        return None
    merged: dict[str, Any] = {}
    for entry in applied:
        _merge(merged, entry.get("fieldsV1") or {})
    part = _extract(live, merged)
    if not isinstance(part, dict):
        return None
    identity = {k: live[k] for k in ("apiVersion", "kind") if k in live}
    metadata = {k: live["metadata"][k] for k in ("name", "namespace") if k in live["metadata"]}
    return {**identity, **part, "metadata": {**metadata, **part.get("metadata", {})}}


def _merge(into: dict[str, Any], other: dict[str, Any]) -> None:
    for key, inner in other.items():
        _merge(into.setdefault(key, {}), inner)


def _extract(value: Any, owned: dict[str, Any]) -> Any:
    members = {key: inner for key, inner in owned.items() if key != "."}
    if not members:
        return value
    if isinstance(value, dict):
        return {
            key[2:]: _extract(value[key[2:]], inner)
            for key, inner in members.items()
            if key.startswith("f:") and key[2:] in value
        }
    if isinstance(value, list):
        picked = []
        for index, item in enumerate(value):
            inner = _owner(item, index, members)
            if inner is not None:
                picked.append(_extract(item, inner))
        return picked
    return value


def _owner(item: Any, index: int, members: dict[str, Any]) -> dict[str, Any] | None:
    for key, inner in members.items():
        form, _, text = key.partition(":")
        if form == "i" and int(text) == index:
            return dict(inner)
        if form == "v" and json.loads(text) == item:
            return dict(inner)
        if form == "k" and isinstance(item, dict):
            keys = json.loads(text)
            if all(item.get(name, wanted) == wanted for name, wanted in keys.items()):
                return dict(inner)
    return None
