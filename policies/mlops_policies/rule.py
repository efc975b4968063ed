"""What a rule is, and what it sees of a resource."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final


class Unknown:
    """A value that only the update decides; no rule can judge it before."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource as the program declares it.

    Attributes:
        type: its type, for example `aws:s3/bucket:Bucket`.
        name: its name in the program.
        props: its inputs, as plain data; `UNKNOWN` stands where a value is not known yet.
    """

    type: str
    name: str
    props: Mapping[str, Any]

    def is_a(self, *kinds: str) -> bool:
        """Return whether the resource is of one of the types."""
        return self.type in kinds

    def get(self, path: str, default: Any = None) -> Any:
        """Return the value at a dotted path; UNKNOWN if it, or what leads to it, is unknown."""
        at: Any = self.props
        for key in path.split("."):
            if at is UNKNOWN:
                return UNKNOWN
            if not isinstance(at, Mapping) or at.get(key) is None:
                return default
            at = at[key]
        return at


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What a stack permits beyond the rules.

    Attributes:
        privileged: names of the resources whose Pods may be privileged.
    """

    privileged: frozenset[str] = frozenset()


Check = Callable[[Resource, Allowed], Iterator[str]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule.

    Attributes:
        name: how it is called in reports and in the configuration.
        description: what it demands.
        remedy: what to do about a violation.
        check: yields what is wrong with a resource; nothing if it is fine.
    """

    name: str
    description: str
    remedy: str
    check: Check


def items(value: Any) -> list[Any]:
    """Return the known elements of a list; of anything else, none."""
    return [v for v in value if v is not UNKNOWN] if isinstance(value, list) else []


def documents(value: Any) -> list[dict[str, Any]]:
    """Return the statements of an IAM policy document, given as text or as data.

    A document that is unknown or no JSON has none: the provider refuses the latter.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return []
    if not isinstance(value, Mapping):
        return []
    statements = value.get("Statement", [])
    statements = [statements] if isinstance(statements, Mapping) else items(statements)
    return [dict(statement) for statement in statements if isinstance(statement, Mapping)]


def texts(value: Any) -> list[str]:
    """Return the texts of a value that is one text or a list of them."""
    return [value] if isinstance(value, str) else [v for v in items(value) if isinstance(v, str)]
