"""What is exported before a stack is destroyed, and where to."""

import time
from dataclasses import dataclass
from pathlib import Path

from mlops_stack import environment
from mlops_stack.settings import SettingsError

MODELS = "models"
ALL = "all"
_CHOICES = ("none", MODELS, ALL)


@dataclass(frozen=True, kw_only=True)
class Keep:
    """An export that is asked for.

    Attributes:
        what: models or all.
        folder: where it goes.
    """

    what: str
    folder: Path


def choose(*wishes: str) -> str:
    """Return the first wish that says something, or none.

    Args:
        wishes: what to keep, the strongest first; empty ones say nothing.

    Raises:
        SettingsError: a wish is for something that cannot be kept.
    """
    for wish in wishes:
        if wish and wish not in _CHOICES:
            raise SettingsError(
                f"KEEP={wish}: there is no such thing to keep; write "
                f"{', '.join(_CHOICES[:-1])} or {_CHOICES[-1]}. Nothing was changed"
            )
    return next((wish for wish in wishes if wish), "none")


def export(stack: str, chosen: str, given: str = "") -> Keep | None:
    """Return what of a stack is exported and where to; None if nothing is.

    Args:
        stack: the stack's name.
        chosen: what is kept, as `choose` returns it.
        given: the folder that the user names; empty for one of its own in the checkout's state.

    Raises:
        SettingsError: a folder is given, and nothing is kept.
    """
    if chosen == "none":
        if given:
            raise SettingsError(
                f"KEEP_TO={given} needs KEEP={MODELS} or KEEP={ALL}. Nothing was changed"
            )
        return None
    return Keep(what=chosen, folder=folder(stack, given))


def folder(stack: str, given: str = "") -> Path:
    """Return the folder that an export goes to.

    Args:
        stack: the stack's name.
        given: the folder that the user names; empty for one of its own in the checkout's state.
    """
    if given:
        return Path(given).absolute()
    made = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return environment.state_dir() / "kept" / f"{stack}-{made}"
