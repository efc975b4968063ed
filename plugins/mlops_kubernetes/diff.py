"""The difference between the inputs of the last update and the program's.

Only inputs are compared, so an unchanged preview asks the cluster nothing. What somebody else
changed in the cluster shows after a refresh, which writes the drifted values into the old inputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from mlops_kubernetes import annotations, immutable, kinds, naming
from mlops_kubernetes.paths import ROOT, PropertyPath
from mlops_kubernetes.values import UNKNOWN, without_nulls

_NAMESPACE: Final = PropertyPath(("metadata", "namespace"))
_REPLACE_UNREADY: Final = PropertyPath(("metadata", "annotations", annotations.REPLACE_UNREADY))


class Change(Enum):
    """What happens to a value."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True, kw_only=True)
class PropertyChange:
    """A changed value and whether it can only change with the object's replacement."""

    change: Change
    replaces: bool


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What changes between two sets of inputs.

    Attributes:
        changes: by path; empty when nothing changes.
        delete_before_replace: the old object must go before the new one can have its name.
    """

    changes: dict[PropertyPath, PropertyChange] = field(default_factory=dict)
    delete_before_replace: bool = False

    @property
    def replaces(self) -> list[PropertyPath]:
        """The paths whose change replaces the object."""
        return [path for path, change in self.changes.items() if change.replaces]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the provider's configuration says about replacement.

    Attributes:
        default_namespace: where an object without a namespace lives.
        config_map_mutable: ConfigMaps change in place.
        secret_mutable: Secrets change in place.
    """

    default_namespace: str = "default"
    config_map_mutable: bool = False
    secret_mutable: bool = False


def difference(
    old_inputs: dict[str, Any],
    new_inputs: dict[str, Any],
    old_state: dict[str, Any],
    policy: Policy,
    *,
    patch: bool = False,
) -> Difference:
    """Compare the inputs of the last update with the program's.

    Args:
        old_inputs: what the last update, refresh or import recorded.
        new_inputs: what `check` returned for the program's.
        old_state: the object as it was seen last.
        policy: the provider's configuration.
        patch: the resource patches an object that it does not own.
    """
    olds: dict[str, Any] = without_nulls(old_inputs)
    news: dict[str, Any] = without_nulls(new_inputs)
    olds, news = _with_namespaces(olds, news, old_state, policy)
    kind = kinds.of_object(news)
    fields = immutable.fields(
        kind,
        config_map_mutable=policy.config_map_mutable or patch,
        secret_mutable=policy.secret_mutable or patch,
        object_immutable=old_state.get("immutable") is True,
    )
    changes = {
        path: PropertyChange(change=change, replaces=_replaces(fields, path, value))
        for path, change, value in compare(olds, news)
    }
    _judge_api_version(changes, olds, news)
    if _is_unready_job(kind, news, old_state):
        changes[_REPLACE_UNREADY] = PropertyChange(change=Change.UPDATE, replaces=True)
    found = Difference(changes=changes)
    if not found.replaces:
        return found
    return Difference(changes=changes, delete_before_replace=_keeps_name(olds, news))


def compare(
    old: Any, new: Any, path: PropertyPath = ROOT
) -> Iterator[tuple[PropertyPath, Change, Any]]:
    """Yield each changed path with the kind of change and the value that it adds or takes away.

    Lists are compared by position, as the engine shows them.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            inner = path.child(key)
            if key not in new:
                yield inner, Change.DELETE, old[key]
            elif key not in old:
                yield inner, Change.ADD, new[key]
            else:
                yield from compare(old[key], new[key], inner)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            inner = path.child(index)
            if index >= len(new):
                yield inner, Change.DELETE, old[index]
            elif index >= len(old):
                yield inner, Change.ADD, new[index]
            else:
                yield from compare(old[index], new[index], inner)
    elif new is UNKNOWN or old is UNKNOWN or not _same(old, new):
        yield path, Change.UPDATE, new


def _same(old: Any, new: Any) -> bool:
    # True == 1 in Python, but not in an object.
    return isinstance(old, bool) == isinstance(new, bool) and bool(old == new)


def _replaces(fields: tuple[PropertyPath, ...], path: PropertyPath, value: Any) -> bool:
    """Whether a change at `path` reaches an immutable field, at the path or below it."""
    if isinstance(value, dict) and value:
        return any(_replaces(fields, path.child(k), v) for k, v in value.items())
    if isinstance(value, list) and value:
        return any(_replaces(fields, path.child(i), v) for i, v in enumerate(value))
    return immutable.covers(fields, path)


def _with_namespaces(
    olds: dict[str, Any], news: dict[str, Any], old_state: dict[str, Any], policy: Policy
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Spell out the namespaces that one side leaves out, so that only a move is a change."""
    lives_in = _NAMESPACE.get(old_state)
    if not lives_in:
        # A cluster-scoped object: a namespace in its inputs means nothing.
        return (olds, news) if not old_state else (_placed(olds, None), _placed(news, None))
    wanted = _NAMESPACE.get(news, policy.default_namespace)
    return _placed(olds, _NAMESPACE.get(olds, lives_in)), _placed(news, wanted)


def _placed(inputs: dict[str, Any], namespace: Any) -> dict[str, Any]:
    metadata = dict(inputs.get("metadata") or {})
    metadata.pop("namespace", None)
    if namespace is not None:
        metadata["namespace"] = namespace
    return {**inputs, "metadata": metadata}


def _judge_api_version(
    changes: dict[PropertyPath, PropertyChange], olds: dict[str, Any], news: dict[str, Any]
) -> None:
    """Another version of a group serves the same object; another group serves another one."""
    path = PropertyPath(("apiVersion",))
    if path in changes and kinds.of_object(olds).group != kinds.of_object(news).group:
        changes[path] = PropertyChange(change=Change.UPDATE, replaces=True)


def _is_unready_job(kind: kinds.Kind, news: dict[str, Any], state: dict[str, Any]) -> bool:
    if (kind.group, kind.kind) != ("batch", "Job"):
        return False
    if not annotations.flag(news, annotations.REPLACE_UNREADY):
        return False
    conditions = (state.get("status") or {}).get("conditions") or []
    return not any(c.get("type") == "Complete" and c.get("status") == "True" for c in conditions)


def _keeps_name(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    old, new = olds.get("metadata") or {}, news.get("metadata") or {}
    if naming.is_autonamed(news) or "generateName" in new:
        return False
    same_name = old.get("name") == new.get("name")
    same_place = old.get("namespace") == new.get("namespace")
    return same_name and same_place
