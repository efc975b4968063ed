"""What a training is told, the same for every worker."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from flight_training.errors import TrainingError

_BOUNDS: Final[Mapping[str, tuple[type, float, float]]] = {
    "epochs": (int, 1, 500),
    "batch_size": (int, 16, 65536),
    "hidden_units": (int, 1, 1024),
    "learning_rate": (float, 1e-6, 1.0),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Hyperparameters of the network.

    Attributes:
        epochs: how often each row is looked at.
        batch_size: rows of a step of one worker.
        hidden_units: units of each of the two hidden layers.
        learning_rate: of Adam.
    """

    epochs: int = 4
    batch_size: int = 256
    hidden_units: int = 32
    learning_rate: float = 0.002


def parse(given: Mapping[str, Any]) -> Settings:
    """Return the settings, with defaults for what is not given.

    Args:
        given: names to values, as numbers or as text.

    Raises:
        TrainingError: an unknown name, or a value that is no number or out of bounds; each is
            named.
    """
    known = {field.name for field in fields(Settings)}
    problems = [
        f"there is no parameter {name!r}; there are {', '.join(sorted(known))}"
        for name in given
        if name not in known
    ]
    found: dict[str, Any] = {}
    for name, (kind, low, high) in _BOUNDS.items():
        if name not in given:
            continue
        try:
            # 4.0 is 4: Pulumi and JSON know one kind of number.
            number = float(str(given[name]))
        except ValueError:
            number = math.nan
        fits = low <= number <= high and (kind is float or number.is_integer())
        found[name] = kind(number) if fits else None
        if not fits:
            whole = " without a fraction" if kind is int else ""
            problems.append(
                f"{name} is {given[name]!r}; write a number from {low:g} to {high:g}{whole}"
            )
    if problems:
        raise TrainingError("\n".join(problems))
    return Settings(**found)
