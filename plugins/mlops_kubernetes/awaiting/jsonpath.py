"""The part of kubectl's JSONPath that `waitFor` annotations use.

Supported are members (`.status.phase`, `['a.b']`), items (`[0]`, `[-1]`, `[*]`) and filters by
equality (`[?(@.type=="Ready")]`).
"""

import re
from typing import Any, Final

_STEP: Final = re.compile(
    r"""
    \.(?P<name>(?:[\w-]|\\\.)+)
    | \[(?P<quote>['"])(?P<key>.*?)(?P=quote)\]
    | \[(?P<index>-?\d+)\]
    | (?P<all>\[\*\]|\.\*)
    | \[\?\(\s*@(?P<field>(?:\.[\w-]+)+)\s*==\s*(?P<mark>['"]?)(?P<value>.*?)(?P=mark)\s*\)\]
    """,
    re.VERBOSE,
)


class JsonPathError(ValueError):
    """An expression is not one that the plugin reads."""


def search(expression: str, value: Any) -> list[Any]:
    """Return the values that an expression such as `{.status.phase}` finds.

    Raises:
        JsonPathError: the expression cannot be read.
    """
    text = expression.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    text = text.removeprefix("$")
    if text and text[0] not in ".[":
        text = f".{text}"
    found, position = [value], 0
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            raise JsonPathError(
                f"JSONPath {expression!r} cannot be read from {text[position:]!r}; use members, "
                "items and filters by equality"
            )
        found = [result for item in found for result in _take(step, item)]
        position = step.end()
    return found


def _take(step: re.Match[str], item: Any) -> list[Any]:
    if step["all"]:
        return list(item.values()) if isinstance(item, dict) else list(_items(item))
    if step["index"]:
        items, index = _items(item), int(step["index"])
        return [items[index]] if -len(items) <= index < len(items) else []
    if step["field"]:
        names = step["field"].strip(".").split(".")
        return [i for i in _items(item) if text_of(_member(i, names)) == step["value"]]
    name = step["name"].replace("\\.", ".") if step["name"] else step["key"]
    return [item[name]] if isinstance(item, dict) and name in item else []


def _items(item: Any) -> list[Any]:
    return item if isinstance(item, list) else []


def _member(item: Any, names: list[str]) -> Any:
    for name in names:
        item = item.get(name) if isinstance(item, dict) else None
    return item


def text_of(value: Any) -> str:
    """Return a value as kubectl prints it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
