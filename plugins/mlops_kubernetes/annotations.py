"""The `pulumi.com/…` annotations by which a program steers the plugin for one object."""

import json
from enum import StrEnum
from typing import Any, Final

SKIP_AWAIT: Final = "pulumi.com/skipAwait"
WAIT_FOR: Final = "pulumi.com/waitFor"
TIMEOUT_SECONDS: Final = "pulumi.com/timeoutSeconds"
PATCH_FORCE: Final = "pulumi.com/patchForce"
PATCH_FIELD_MANAGER: Final = "pulumi.com/patchFieldManager"
DELETION_PROPAGATION: Final = "pulumi.com/deletionPropagationPolicy"
REPLACE_UNREADY: Final = "pulumi.com/replaceUnready"


class AnnotationError(ValueError):
    """An annotation has a value that the plugin cannot read."""


class Propagation(StrEnum):
    """What deleting an object does to the objects that it owns."""

    FOREGROUND = "Foreground"
    BACKGROUND = "Background"
    ORPHAN = "Orphan"


def read(value: dict[str, Any], name: str) -> str | None:
    """Return an annotation of an object, None where it is absent or not known yet."""
    metadata = value.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    found = annotations.get(name) if isinstance(annotations, dict) else None
    if isinstance(found, bool):
        return str(found).lower()
    return found if isinstance(found, str) else None


def flag(value: dict[str, Any], name: str) -> bool | None:
    """Return an annotation that is `true` or `false`, None where it is absent.

    Raises:
        AnnotationError: it has another value.
    """
    text = read(value, name)
    if text is None:
        return None
    if text.lower() not in ("true", "false"):
        raise AnnotationError(f'annotation {name} is {text!r}; set it to "true" or "false"')
    return text.lower() == "true"


def skip_await(value: dict[str, Any]) -> bool:
    """Tell whether the plugin must not wait for an object.

    Raises:
        AnnotationError: see `flag`.
    """
    return bool(flag(value, SKIP_AWAIT))


def timeout_seconds(value: dict[str, Any]) -> float | None:
    """Return how long to wait for an object, in seconds; None where nothing is said.

    Raises:
        AnnotationError: the annotation is no positive number.
    """
    text = read(value, TIMEOUT_SECONDS)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if seconds <= 0:
        raise AnnotationError(
            f"annotation {TIMEOUT_SECONDS} is {text!r}; set it to a number of seconds above zero"
        )
    return seconds


def propagation(value: dict[str, Any]) -> Propagation:
    """Return how deletion spreads to owned objects; foreground unless the program says otherwise.

    Raises:
        AnnotationError: the annotation names no policy.
    """
    text = read(value, DELETION_PROPAGATION)
    if text is None:
        return Propagation.FOREGROUND
    for policy in Propagation:
        if policy.value.lower() == text.lower():
            return policy
    valid = ", ".join(policy.value.lower() for policy in Propagation)
    raise AnnotationError(
        f"annotation {DELETION_PROPAGATION} is {text!r}; set it to one of {valid}"
    )


def wait_for(value: dict[str, Any]) -> list[str]:
    """Return the expressions of the `waitFor` annotation: one, or a JSON list of several.

    Raises:
        AnnotationError: it looks like a JSON list but is none of strings.
    """
    text = read(value, WAIT_FOR)
    if not text:
        return []
    if not text.lstrip().startswith("["):
        return [text]
    try:
        expressions = json.loads(text)
    except json.JSONDecodeError as error:
        raise AnnotationError(f"annotation {WAIT_FOR} is no JSON list: {error}") from error
    if not all(isinstance(expression, str) for expression in expressions):
        raise AnnotationError(f"annotation {WAIT_FOR} must be a JSON list of strings")
    return list(expressions)


def validate(value: dict[str, Any]) -> None:
    """Read every annotation once, so that a wrong one is refused before anything is changed.

    Raises:
        AnnotationError: see the functions of this module.
    """
    for name in (SKIP_AWAIT, PATCH_FORCE, REPLACE_UNREADY):
        flag(value, name)
    timeout_seconds(value)
    propagation(value)
    wait_for(value)
