"""What a version is tested with before anybody else asks it."""

from dataclasses import dataclass
from typing import Any

# Chance is 0.5.
BETTER_THAN_CHANCE = 0.55


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Requests whose right answers are known.

    Attributes:
        rows: fields of each, with null for what nobody measured.
        labels: whether each belongs to the class whose probability the model answers with.
        least_auc: the ROC AUC of the answers below which a version does not serve.
    """

    rows: list[dict[str, Any]]
    labels: list[bool]
    least_auc: float = BETTER_THAN_CHANCE


class SampleError(Exception):
    """The requests cannot be read; the message says why and what to do."""
