"""Artefacts that a line of shell makes, in a toolchain of their own."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from mlops_toolchain import engine, keys
from mlops_toolchain.artefact import Artefact, Context


@dataclass(frozen=True, kw_only=True)
class Shell:
    """A recipe that runs a line of shell in its output folder."""

    line: str
    link: str = ""
    kind: str = "shell"

    def sources(self) -> tuple[Path, ...]:
        return ()

    def links(self) -> dict[str, str]:
        return {f"bin/{self.link}": self.link} if self.link else {}

    def build(self, context: Context) -> None:
        context.run("sh", "-c", self.line)


def small(name: str, line: str, *needs: str, megabytes: int = 1, link: str = "") -> Artefact:
    """Return an artefact; one with a link is in the view."""
    return Artefact(
        name=name, version="1", licence="MIT", recipe=Shell(line=line, link=link), needs=needs,
        megabytes=megabytes,
    )  # fmt: skip


def add(table: dict[str, Artefact], *added: Artefact) -> None:
    table.update({artefact.name: artefact for artefact in added})
    keys.key.cache_clear()


def empty_toolchain(monkeypatch: pytest.MonkeyPatch, cache: Path) -> dict[str, Artefact]:
    """Put an empty list of artefacts and a cache into the toolchain's place."""
    table: dict[str, Artefact] = {}
    monkeypatch.setenv("MLOPS_CACHE", str(cache))
    monkeypatch.delenv("MLOPS_SHARED_CACHE", raising=False)
    for module in (engine, keys):
        monkeypatch.setattr(module, "BY_NAME", table)
    monkeypatch.setattr("mlops_toolchain.build.BY_NAME", table)
    keys.key.cache_clear()
    return table
