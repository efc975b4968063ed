"""What an artefact is: a name, a pin, a way to build it, and what that needs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable


class Context(Protocol):
    """What a recipe may use while it builds."""

    @property
    def output(self) -> Path:
        """Empty folder that becomes the result."""

    @property
    def cache(self) -> Path:
        """Cache shared by all builds."""

    def need(self, name: str) -> Path:
        """Return the result folder of an artefact that this one needs."""

    def run(
        self, *command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> None:
        """Run a command with its output in the artefact's log.

        Raises:
            ToolchainError: it failed; the message has the log's last lines.
        """


class Recipe(Protocol):
    """A way to obtain an artefact. Recipes are frozen dataclasses: their fields enter the key."""

    @property
    def kind(self) -> str:
        """One word for the status table: go, debian, image …"""

    def sources(self) -> tuple[Path, ...]:
        """Return files and folders of the checkout whose content decides the result."""

    def links(self) -> dict[str, str]:
        """Return paths in the checkout's view to paths in the result folder."""

    def build(self, context: Context) -> None:
        """Fill `context.output`."""


@runtime_checkable
class OnPath(Protocol):
    """A recipe that takes a program of the machine itself, where there is one that serves."""

    def on_path(self) -> str | None:
        """Return the program's path, None without one."""


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """One pinned thing that a stack needs.

    Attributes:
        name: its name in commands and messages.
        version: its pin, as upstream writes it.
        licence: SPDX expression.
        recipe: how it is obtained.
        needs: names of artefacts that must be there first.
        seconds: rough duration on two cores, for the estimate and the order of work.
        megabytes: rough size of the result and of what its build leaves in the cache besides, for
            the disk check.
        temporary_megabytes: rough size of what its build removes again in the end.
        optional: a stack works without it: `up` neither waits for it nor fails with it.
        on_request: it is made only when it is named: few stacks ever ask for it.
    """

    name: str
    version: str
    licence: str
    recipe: Recipe
    needs: tuple[str, ...] = ()
    seconds: int = 5
    megabytes: int = 50
    temporary_megabytes: int = 0
    optional: bool = False
    on_request: bool = False
