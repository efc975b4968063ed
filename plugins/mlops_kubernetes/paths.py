"""Property paths: `spec.template.spec.containers[0].image`, as the engine writes and reads them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*\Z")
_TOKEN: Final = re.compile(
    r"""
    \.?(?P<name>[^.\[\]"]+)
    | \[(?P<index>\d+)\]
    | \[(?P<wild>\*)\]
    | \["(?P<key>(?:[^"\\]|\\.)*)"\]
    """,
    re.VERBOSE,
)
WILDCARD: Final = "*"


class PathSyntaxError(ValueError):
    """A property path cannot be read."""


@dataclass(frozen=True)
class PropertyPath:
    """The way from a property map's root to a value: keys and list indexes."""

    parts: tuple[str | int, ...] = ()

    def child(self, part: str | int) -> "PropertyPath":
        """Return the path of a member or an item."""
        return PropertyPath((*self.parts, part))

    def starts_with(self, other: "PropertyPath") -> bool:
        """Tell whether the value lies at or below another path."""
        return self.parts[: len(other.parts)] == other.parts

    def get(self, value: Any, default: Any = None) -> Any:
        """Return the value at the path, or `default` where the path leads nowhere."""
        for part in self.parts:
            if isinstance(part, int):
                if not isinstance(value, list) or part >= len(value):
                    return default
                value = value[part]
            elif isinstance(value, dict) and part in value:
                value = value[part]
            else:
                return default
        return value

    def set(self, value: Any, new: Any) -> bool:
        """Set the value at the path in place; its parent must exist. Tell whether it did."""
        parent = PropertyPath(self.parts[:-1]).get(value)
        last = self.parts[-1]
        if isinstance(last, int):
            if isinstance(parent, list) and last < len(parent):
                parent[last] = new
                return True
        elif isinstance(parent, dict):
            parent[last] = new
            return True
        return False

    def delete(self, value: Any) -> None:
        """Remove the member at the path in place, if it is there."""
        parent = PropertyPath(self.parts[:-1]).get(value)
        if isinstance(parent, dict):
            parent.pop(self.parts[-1], None)

    def expand(self, value: Any) -> Iterator["PropertyPath"]:
        """Yield the paths that match in a value, with each `*` replaced by what is there."""
        if WILDCARD not in self.parts:
            yield self
            return
        at = self.parts.index(WILDCARD)
        parent = PropertyPath(self.parts[:at]).get(value)
        keys: list[str | int] = []
        if isinstance(parent, dict):
            keys = list(parent)
        elif isinstance(parent, list):
            keys = list(range(len(parent)))
        for key in keys:
            concrete = PropertyPath((*self.parts[:at], key, *self.parts[at + 1 :]))
            yield from concrete.expand(value)

    def __str__(self) -> str:
        text = ""
        for part in self.parts:
            if isinstance(part, int):
                text += f"[{part}]"
            elif _PLAIN.match(part):
                text += f".{part}" if text else part
            else:
                escaped = part.replace("\\", "\\\\").replace('"', '\\"')
                text += f'["{escaped}"]'
        return text


ROOT: Final = PropertyPath()
"""The path of a whole property map."""


def parse(text: str) -> PropertyPath:
    """Return the path that a text names; `[*]` and `*` stand for every member.

    Raises:
        PathSyntaxError: the text is no property path.
    """
    parts: list[str | int] = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise PathSyntaxError(f"{text!r} is no property path (at character {position})")
        if found["index"] is not None:
            parts.append(int(found["index"]))
        elif found["wild"] is not None:
            parts.append(WILDCARD)
        elif found["key"] is not None:
            parts.append(re.sub(r"\\(.)", r"\1", found["key"]))
        else:
            parts.append(found["name"])
        position = found.end()
    return PropertyPath(tuple(parts))
