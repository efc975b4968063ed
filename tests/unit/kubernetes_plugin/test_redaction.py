"""Secrets leave texts in every form in which servers and libraries give values back."""

import base64
import json
import re
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import yaml

from mlops_kubernetes.diagnostics import explain
from mlops_kubernetes.redaction import Redaction

# As strconv.Quote and strconv.QuoteToASCII of Go 1.25 and encoding/json write them.
QUOTES = 'hunter"two'
LINES = "-----BEGIN KEY-----\nabcdefghijklmnop\nqrstuvwxyz012345\n-----END KEY-----\n"
STRANGE = "pä<ss>&w\\ord\t!"
FORMS = {
    "plain": lambda s: s,
    "JSON": json.dumps,
    "JSON of JSON": lambda s: json.dumps(json.dumps({"value": s})),
    "JSON without ASCII": lambda s: json.dumps(s, ensure_ascii=False),
    "Python": repr,
    "Python's bytes": lambda s: repr(s.encode()),
    "Python's dictionary": lambda s: str({"key": s}),
    "URL": lambda s: f"https://x/?a={quote(s, safe='')}",
    "URL, small letters": lambda s: re.sub(
        "%..", lambda found: found[0].lower(), quote(s, safe="")
    ),
    "form": lambda s: f"a={quote_plus(s)}",
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(s.encode()).decode().rstrip("="),
    "hexadecimal": lambda s: s.encode().hex(),
    "YAML": lambda s: yaml.safe_dump({"a": s}),
    "line ends of Windows": lambda s: s.replace("\n", "\r\n"),
    "one line": lambda s: " ".join(s.split()),
    "its lines": lambda s: "\n".join(f"Pod web | {line}" for line in s.splitlines()),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("secret", [QUOTES, LINES, STRANGE], ids=["quotes", "lines", "strange"])
def test_no_form_of_a_secret_stays(secret: str, form: Any) -> None:
    written = form(secret)
    cleaned = Redaction([secret]).clean(f'Invalid value: "{written}": must be a DNS label')
    assert "Invalid value" in cleaned
    for part in ("hunter", "two", "abcdefgh", "qrstuv", "ord", "ss>&", "%C3", written):
        if part in written:
            assert part not in cleaned


@pytest.mark.parametrize(
    ("secret", "written"),
    [
        (QUOTES, r"hunter\"two"),
        (STRANGE, r"pä<ss>&w\\ord\t!"),
        (STRANGE, r"p\u00e4<ss>&w\\ord\t!"),
        (STRANGE, r"pä\u003css\u003e\u0026w\\ord\t!"),
        ("a\vb\ac\x7f", r"a\vb\ac"),
    ],
)
def test_what_go_makes_of_a_secret_does_not_stay(secret: str, written: str) -> None:
    assert Redaction([secret.rstrip("\x7f")]).clean(f'x "{written}" y') == 'x "[secret]" y'


def test_the_value_below_base64_is_a_secret_too() -> None:
    encoded = base64.b64encode(b"correct-horse").decode()
    assert Redaction([encoded]).clean(f"{encoded} correct-horse") == "[secret] [secret]"


def test_the_longest_secret_comes_first_and_ordinary_words_stay() -> None:
    redaction = Redaction({"hunter2", "hunter2-extended", "a"})
    assert redaction.clean("a hunter2-extended hunter2") == "a [secret] [secret]"
    assert Redaction().clean("nothing is secret") == "nothing is secret"


class Talkative:
    """A cluster whose events and logs repeat a value."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def get(self, path: str, **_: str) -> dict[str, Any]:
        assert path.endswith("/events")
        return {"items": [{"type": "Warning", "reason": "Failed", "message": self._text}]}

    async def text(self, path: str, **_: str) -> str:
        assert path.endswith("/log")
        return f"first\n{self._text}\nlast"


async def test_a_long_text_is_cut_after_the_secret_is_out() -> None:
    secret = "s" * 30 + "ecret"
    ended = {"name": "main", "restartCount": 1, "state": {"terminated": {"exitCode": 1}}}
    pod = {
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "here", "uid": "1"},
        "status": {"containerStatuses": [ended]},
    }
    cluster: Any = Talkative("x" * 390 + secret)
    lines = await explain(cluster, pod, Redaction([secret]).clean)
    assert any("| first" in line for line in lines)
    assert len([line for line in lines if "[secret]" in line]) == 2
    assert not any("sss" in line for line in lines)
