"""Values of properties, as a reviewer may see them: short, and never a secret."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

# What the engine writes for a value that is known only after the update
# (`sdk/go/common/resource/plugin`: one for each kind of value).
UNKNOWN: Final = frozenset(
    {
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
MASKED = "(secret)"
KNOWN_LATER = "(known after up)"
ABSENT = "(none)"
_ENGINE_MASK = "[secret]"
_LONGEST = 80
_MISSING: Final = object()
_STEP = re.compile(r"""\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.\[\]]+)""")
_MARKUP = re.compile(r"<\{%[^%]*%\}>")
# Not every secret was marked as one: what these names hold is not shown either.
_PRIVATE = re.compile(
    r"(?i)passw|passphrase|secret|token|credential|api_?key|private_?key|access_?key|kubeconfig"
)


def without_markup(text: str) -> str:
    """Return a message of the engine without its colour markers."""
    return _MARKUP.sub("", text)


def steps(path: str) -> tuple[str | int, ...]:
    """Return the keys and indices of a property path such as `spec.ports[0].name`."""
    return tuple(
        int(index) if index else quoted.replace('\\"', '"') or plain
        for quoted, index, plain in _STEP.findall(path)
    )


def below(path: str, ancestor: str) -> bool:
    """Return whether a path is another one, or leads to something in it."""
    outer = steps(ancestor)
    return steps(path)[: len(outer)] == outer


def first(path: str, sources: Iterable[Mapping[str, Any]]) -> object:
    """Return the value at a path in the first source that has it, or `None`."""
    for source in sources:
        at: Any = source
        for step in steps(path):
            at = _into(at, step)
            if at is _MISSING:
                break
        else:
            return at
    return None


def _into(value: Any, step: str | int) -> Any:
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    if isinstance(value, dict):
        return value.get(str(step), _MISSING)
    # What is below a masked or unknown value is that itself.
    if value == _ENGINE_MASK or (isinstance(value, str) and value in UNKNOWN):
        return value
    return _MISSING


def show(path: str, value: object) -> str:
    """Return a value as short text; of secrets, that they are."""
    if value is None:
        return ABSENT
    if _ENGINE_MASK in str(value) or _PRIVATE.search(path):
        return MASKED
    if isinstance(value, str) and value in UNKNOWN:
        return KNOWN_LATER
    return _short(value)


def _short(value: object) -> str:
    match value:
        case dict():
            return f"({len(value)} properties)"
        case list():
            return f"({len(value)} items)"
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
