"""A toolchain with nothing in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_toolchain import keys
from mlops_toolchain.artefact import Artefact
from tests.unit.toolchain.small import empty_toolchain


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Artefact]]:
    """An empty list of artefacts and an empty cache, for one test."""
    yield empty_toolchain(monkeypatch, tmp_path / "cache")
    keys.key.cache_clear()
