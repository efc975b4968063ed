"""What moto 5.2.5 does not have: kept in a file, with the checks that AWS would make.

EKS add-ons, access entries, policy associations and Pod Identity associations. The rehearsal's
report lists them as not checked by moto.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import Any, Final

VARIABLE: Final = "MLOPS_AWS_STANDIN_STATE"


class UncheckedError(Exception):
    """AWS would refuse this; the message says why."""


def entries(kind: str) -> dict[str, Any]:
    """Return what is kept of a kind, by id."""
    return dict(_load().get(kind, {}))


def put(kind: str, identity: str, values: dict[str, Any], *, new: bool) -> None:
    """Keep an entry.

    Raises:
        UncheckedError: a new one exists already.
    """
    with _locked():
        state = _load()
        known = state.setdefault(kind, {})
        if new and identity in known:
            raise UncheckedError(f"{kind} {identity} exists already")
        known[identity] = values
        _store(state)


def remove(kind: str, identity: str) -> None:
    """Forget an entry, which may be gone."""
    with _locked():
        state = _load()
        state.get(kind, {}).pop(identity, None)
        _store(state)


def _file() -> Path:
    name = os.environ.get(VARIABLE)
    if not name:
        raise UncheckedError(f"{VARIABLE} names no file; run `make rehearse`")
    return Path(name)


def _load() -> dict[str, Any]:
    file = _file()
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


def _store(state: dict[str, Any]) -> None:
    file = _file()
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(state, indent=1, sort_keys=True))
    draft.replace(file)


class _locked:  # noqa: N801 - used as a function
    """The engine creates resources at once: one change after the other."""

    def __enter__(self) -> None:
        self._lock = _file().with_suffix(".lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._lock.close()
