"""The conditions of a `pulumi.com/waitFor` annotation, in the forms of `kubectl wait --for`."""

from collections.abc import Callable
from typing import Any, Final

from mlops_kubernetes.awaiting import jsonpath
from mlops_kubernetes.awaiting.verdict import (
    READY,
    UNCERTAIN_SECONDS,
    Judge,
    Look,
    Verdict,
    condition,
    status,
    waiting,
)

_FORMS: Final = (
    '"condition=Ready", "condition=Ready=False", "jsonpath={.status.phase}" or '
    '"jsonpath={.status.phase}=Running"'
)


class WaitForError(ValueError):
    """A `waitFor` expression has none of the known forms."""


def judge_expressions(expressions: list[str]) -> Judge:
    """Return a judge for which an object is ready when all expressions hold.

    Raises:
        WaitForError: an expression has none of the known forms.
    """
    tests = [(expression, _test(expression)) for expression in expressions]

    async def judge(value: dict[str, Any], _: Look) -> Verdict:
        missing = [expression for expression, holds in tests if not holds(value)]
        if not missing:
            return READY
        unseen = (
            ""
            if status(value)
            else f"nothing has written a status yet; does a controller of {value.get('kind')} run?"
        )
        return waiting(
            f"waiting for {', '.join(missing)}", warning=unseen, warn_after=UNCERTAIN_SECONDS
        )

    return judge


def _test(expression: str) -> Callable[[dict[str, Any]], bool]:
    form, _, rest = expression.partition("=")
    if form == "condition" and rest:
        name, _, wanted = rest.partition("=")
        state = (wanted or "True").lower()
        return lambda value: _is_current(value, name) and _state(value, name) == state
    if form == "jsonpath" and rest:
        path, wanted_text = _split(rest)
        try:
            jsonpath.search(path, {})
        except jsonpath.JsonPathError as error:
            raise WaitForError(f"annotation pulumi.com/waitFor: {error}") from error
        if wanted_text is None:
            return lambda value: bool(jsonpath.search(path, value))
        return lambda value: any(
            jsonpath.text_of(found) == wanted_text for found in jsonpath.search(path, value)
        )
    raise WaitForError(
        f"annotation pulumi.com/waitFor has {expression!r}; write it as {_FORMS}, or as a JSON "
        "list of these"
    )


def _state(value: dict[str, Any], name: str) -> str:
    return str(condition(value, name).get("status", "")).lower()


def _is_current(value: dict[str, Any], name: str) -> bool:
    """Tell whether a condition speaks of the object's present spec, as `kubectl wait` does."""
    generation = value.get("metadata", {}).get("generation", 0)
    seen = condition(value, name).get("observedGeneration")
    if seen is None:
        seen = status(value).get("observedGeneration", generation)
    return bool(seen >= generation)


def _split(text: str) -> tuple[str, str | None]:
    """Split `{.a}=b` into path and wanted text; filters hold equality signs of their own."""
    if text.startswith("{"):
        path, closed, rest = text.partition("}")
        if closed and (not rest or rest.startswith("=")):
            return path + closed, rest[1:] or None if rest else None
        raise WaitForError(f"annotation pulumi.com/waitFor: {text!r} lacks a closing brace")
    path, equals, wanted = text.partition("=")
    return path, wanted if equals else None
