"""The conditions of a `pulumi.com/waitFor` annotation, in the forms of `kubectl wait --for`."""

from collections.abc import Callable
from typing import Any, Final

from mlops_kubernetes.awaiting import jsonpath
from mlops_kubernetes.awaiting.verdict import READY, Judge, Look, Verdict, condition, waiting

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
        return waiting(f"waiting for {', '.join(missing)}") if missing else READY

    return judge


def _test(expression: str) -> Callable[[dict[str, Any]], bool]:
    form, _, rest = expression.partition("=")
    if form == "condition" and rest:
        name, _, wanted = rest.partition("=")
        status = (wanted or "True").lower()
        return lambda value: str(condition(value, name).get("status", "")).lower() == status
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


def _split(text: str) -> tuple[str, str | None]:
    """Split `{.a}=b` into path and wanted text; filters hold equality signs of their own."""
    if text.startswith("{"):
        path, closed, rest = text.partition("}")
        if closed and (not rest or rest.startswith("=")):
            return path + closed, rest[1:] or None if rest else None
        raise WaitForError(f"annotation pulumi.com/waitFor: {text!r} lacks a closing brace")
    path, equals, wanted = text.partition("=")
    return path, wanted if equals else None
