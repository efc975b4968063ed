"""How long an ephemeral environment lives, and what it may be called; no Pulumi in here."""

import datetime
import re

from mlops_stack.settings import SettingsError, check_stack_name

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
SHORTEST = datetime.timedelta(minutes=10)
LONGEST = datetime.timedelta(days=14)
_PROTECTED = frozenset({"dev", "aws", "main", "staging", "production", "prod"})


def parse_ttl(text: str) -> datetime.timedelta:
    """Return the time to live that a text such as 30m, 4h or 2d says.

    Raises:
        SettingsError: another form, or out of bounds.
    """
    match = re.fullmatch(r"([0-9]{1,5})([mhd])", text)
    if match is None:
        raise SettingsError(f"TTL={text!r} is no time to live; write for example 30m, 4h or 2d")
    ttl = datetime.timedelta(**{_UNITS[match[2]]: int(match[1])})
    if not SHORTEST <= ttl <= LONGEST:
        raise SettingsError(f"TTL={text} is out of bounds; choose between 10m and 14d")
    return ttl


def check_name(name: str) -> str:
    """Return the environment's name.

    Raises:
        SettingsError: it cannot name a cluster, or is kept for a lasting stack.
    """
    check_stack_name(name)
    if name in _PROTECTED:
        raise SettingsError(
            f"{name!r} is kept for a lasting stack; choose another NAME, for example pr-123"
        )
    return name


def shown(seconds: float) -> str:
    """Return seconds in the two largest units that matter, for example 3h05m or -12m."""
    sign, minutes = ("-" if seconds < 0 else ""), int(abs(seconds)) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{sign}{days}d{hours:02}h"
    return f"{sign}{hours}h{minutes:02}m" if hours else f"{sign}{minutes}m"
