"""What is exported before a stack is destroyed, and where to."""

import time
from pathlib import Path

from mlops_stack import environment
from mlops_stack.settings import SettingsError

MODELS = "models"
_CHOICES = ("none", MODELS)


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
                f"KEEP={wish}: there is no such thing to keep; write {' or '.join(_CHOICES)}. "
                "Nothing was changed"
            )
    return next((wish for wish in wishes if wish), "none")


def folder(stack: str, chosen: str, given: str = "") -> Path | None:
    """Return the folder that a stack's data goes to; None if it is not kept.

    Args:
        stack: the stack's name.
        chosen: what is kept, as `choose` returns it.
        given: the folder that the user names; empty for one of its own in the checkout's state.

    Raises:
        SettingsError: a folder is given, and nothing is kept.
    """
    if chosen != MODELS:
        if given:
            raise SettingsError(f"KEEP_TO={given} needs KEEP={MODELS}. Nothing was changed")
        return None
    if given:
        return Path(given).absolute()
    made = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return environment.state_dir() / "kept" / f"{stack}-{made}"
