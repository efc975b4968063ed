"""What the embedded gateway cannot do, as docs/s3.md says it."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs/s3.md"
_ROW = re.compile(r"^\| `(?P<name>[a-z-]+)` \|.*\| `?(?P<code>[A-Za-z0-9]+|-)`? \|[^|]*\|$", re.M)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A line of the table.

    Attributes:
        code: S3's code of the error that the gateway answers with, "-" where it gives none.
    """

    code: str


@functools.cache
def limits() -> dict[str, Limit]:
    """Return the table's lines by name."""
    return {
        row["name"]: Limit(code=row["code"]) for row in _ROW.finditer(_DOCUMENT.read_text("utf-8"))
    }
