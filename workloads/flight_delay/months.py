"""Months of 2013 as the command line writes them."""

import re
from dataclasses import dataclass

_LAST = 12


class MonthsError(ValueError):
    """The text names no usable months; the message says what to write."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Months to train on, and the one after them to evaluate on.

    Attributes:
        train: consecutive months, 1 to 11.
        evaluate: the month that follows.
    """

    train: tuple[int, ...]
    evaluate: int


def parse(text: str) -> Split:
    """Return the split that `text` describes: a month, `3`, or a range, `1-3`.

    Raises:
        MonthsError: not a month or range, or no month follows it.
    """
    match = re.fullmatch(r"([0-9]{1,2})(?:-([0-9]{1,2}))?", text.strip())
    if match is None:
        raise MonthsError(f"{text!r} is not a month or a range of months; write 3 or 1-3")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= _LAST:
        raise MonthsError(f"{text!r} is outside 1 to 12 or runs backwards; write 3 or 1-3")
    if last == _LAST:
        raise MonthsError(
            f"{text!r} ends in December, and the month after the last one evaluates the model; "
            "end in month 11 or earlier"
        )
    return Split(train=tuple(range(first, last + 1)), evaluate=last + 1)
