"""Names of objects that the program leaves unnamed.

A name is the resource's name, a hyphen and eight hexadecimal digits from the engine's seed. The
object carries the annotation `pulumi.com/autonamed`, by which a later check knows that it may keep
the old name, and a replacement that it may create the new object before it deletes the old one.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from mlops_kubernetes.values import UNKNOWN

ANNOTATION: Final = "pulumi.com/autonamed"
_DIGITS: Final = 8
# RFC 1123: a DNS label, and a DNS subdomain.
_LABEL_LENGTH: Final = 63
_SUBDOMAIN_LENGTH: Final = 253
_LABEL_KINDS: Final = frozenset({"Namespace", "Service"})


class NameRequiredError(ValueError):
    """The object must be named by the program."""


@dataclass(frozen=True, kw_only=True)
class Autonaming:
    """What the stack's `pulumi:autonaming` setting says about one resource.

    Attributes:
        proposed: the name to take instead of the plugin's own; empty when there is none.
        disabled: the program must name the object.
    """

    proposed: str = ""
    disabled: bool = False


def automatic_name(base: str, seed: bytes, kind: str = "") -> str:
    """Return the automatic name for a resource.

    Args:
        base: the resource's name in the program.
        seed: the engine's random seed; the same seed gives the same name.
        kind: the object's kind; some kinds allow shorter names than others.
    """
    digest = hashlib.sha256(seed or base.encode()).hexdigest()[:_DIGITS]
    limit = _LABEL_LENGTH if kind in _LABEL_KINDS else _SUBDOMAIN_LENGTH
    return f"{base[: limit - _DIGITS - 1]}-{digest}"


def is_autonamed(inputs: dict[str, Any]) -> bool:
    """Tell whether an object's name was made by the plugin."""
    return _annotations(inputs).get(ANNOTATION) == "true"


def assign_name(
    news: dict[str, Any],
    olds: dict[str, Any],
    *,
    base: str,
    seed: bytes,
    autonaming: Autonaming | None = None,
) -> dict[str, Any]:
    """Return the inputs with a name: the program's, the old automatic one, or a new one.

    Args:
        news: the program's inputs.
        olds: the inputs of the last update; empty for a new object or a replacement.
        base: the resource's name in the program.
        seed: the engine's random seed.
        autonaming: the stack's setting, if it has one.

    Raises:
        NameRequiredError: the program gives no name, and the stack's setting forbids making one.
    """
    metadata = news.get("metadata") or {}
    if metadata is UNKNOWN or metadata.get("name") or metadata.get("generateName"):
        return news
    old_name = (olds.get("metadata") or {}).get("name")
    if is_autonamed(olds) and isinstance(old_name, str):
        name = old_name
    elif autonaming is not None and autonaming.disabled:
        raise NameRequiredError(
            "the stack's pulumi:autonaming setting forbids automatic names; "
            "set metadata.name in the program"
        )
    elif autonaming is not None and autonaming.proposed:
        name = autonaming.proposed
    else:
        name = automatic_name(base, seed, str(news.get("kind", "")))
    annotations = metadata.get("annotations") or {}
    if annotations is not UNKNOWN:
        annotations = {**annotations, ANNOTATION: "true"}
    return {**news, "metadata": {**metadata, "name": name, "annotations": annotations}}


def _annotations(inputs: dict[str, Any]) -> dict[str, Any]:
    metadata = inputs.get("metadata")
    if not isinstance(metadata, dict):
        return {}
    annotations = metadata.get("annotations")
    return annotations if isinstance(annotations, dict) else {}
