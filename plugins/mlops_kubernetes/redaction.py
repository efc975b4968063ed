"""Taking secrets out of texts, in every form in which a server or a library gives a value back.

A server quotes a wrong value in its refusal: as JSON, as Go quotes a string, as base64. A library
shows it as Python would write it, or as a part of a URL. An event or a log has single lines of it.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote, quote_plus

MASK: Final = "[secret]"
# Shorter values would blot out ordinary words.
_SHORTEST: Final = 4
# A line of a longer secret must say more than this, or it is an ordinary word too.
_SHORTEST_LINE: Final = 8
_GO_ESCAPES: Final = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    "\\": r"\\",
    '"': r"\"",
}
# Go writes these in JSON as \u003c and so on, so that the text is safe inside of HTML.
_HTML: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


class Redaction:
    """Knows secrets, and takes them out of texts."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        # The longest first: a secret may hold another one.
        ordered = sorted((f for f in forms if len(f) >= _SHORTEST), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def clean(self, text: str) -> str:
        """Return a text without the secrets."""
        return self._pattern.sub(MASK, text) if self._pattern else text


def _forms(secret: str) -> Iterator[str]:
    for value in {secret, secret.strip(), *_decoded(secret)}:
        yield from _written(value)
        yield from _encoded(value)
        lines = value.splitlines()
        if len(lines) > 1:
            for line in filter(lambda line: len(line.strip()) >= _SHORTEST_LINE, lines):
                yield from _written(line.strip())


def _decoded(secret: str) -> Iterator[str]:
    """Yield what a Secret's `data` holds in base64."""
    try:
        yield base64.b64decode(secret, validate=True).decode()
    except (binascii.Error, ValueError):
        return


def _written(value: str) -> Iterator[str]:
    """Yield the ways to write a text between quotation marks, twice over where it is nested."""
    yield value
    yield value.replace("\n", "\r\n")
    yield " ".join(value.split())
    once = {
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        _translated(json.dumps(value, ensure_ascii=False)[1:-1], _HTML),
        _translated(value, _GO_ESCAPES),
        _ascii(value, _go_escape),
        _ascii(value, _yaml_escape),
        repr(value)[1:-1],
        repr(value.encode(errors="replace"))[2:-1],
        value.replace("'", "''"),  # YAML, in single quotation marks.
    }
    yield from once
    for form in once:
        yield _translated(form, _GO_ESCAPES)


def _encoded(value: str) -> Iterator[str]:
    data = value.encode(errors="replace")
    for code in (base64.b64encode(data), base64.urlsafe_b64encode(data)):
        yield code.decode()
        yield code.decode().rstrip("=")
    for coded in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield coded
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), coded)
    yield data.hex()


def _ascii(value: str, escape: Callable[[int], str]) -> str:
    return "".join(
        _GO_ESCAPES.get(letter) or (letter if letter.isascii() else escape(ord(letter)))
        for letter in value
    )


def _go_escape(code: int) -> str:
    """Return a letter as Go's `strconv.QuoteToASCII` writes it."""
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _yaml_escape(code: int) -> str:
    """Return a letter as PyYAML writes it in double quotation marks."""
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}"


def _translated(value: str, table: dict[str, str]) -> str:
    return value.translate(str.maketrans(dict[str, Any](table)))
