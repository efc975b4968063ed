"""One stack, brought up once for all end-to-end tests, and always taken down."""

import dataclasses
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_stack.pulumi_cli import Stack
from tests.e2e import command_lines

CHECKOUT = Path(__file__).resolve().parents[2]
EVIDENCE = pytest.StashKey[Callable[[], str]]()
"""Of a test: what tells more of its failure, while its stack is still there."""
_TIMEOUT_SECONDS = 900


@dataclasses.dataclass(frozen=True)
class Commands:
    """Runs the Makefile's commands on a stack, as a user does."""

    name: str

    def run(
        self, command: str, *words: str, check: bool = True, seconds: float = _TIMEOUT_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            self.command(command, *words),
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and result.returncode:
            pytest.fail(
                f"{command} ended with {result.returncode}:\n{result.stdout}{result.stderr}"
            )
        return result

    def command(self, command: str, *words: str) -> list[str]:
        return [sys.executable, "-m", "mlops_stack", command, "--stack", self.name, *words]

    @property
    def stack(self) -> Stack:
        return Stack(self.name)


def _configure(name: str, settings: dict[str, str]) -> None:
    lines = [f"  mlops-platform:{key}: {value}\n" for key, value in settings.items()]
    (CHECKOUT / f"Pulumi.{name}.yaml").write_text("".join(["config:\n", *lines]))


@pytest.fixture(scope="session")
def new_stack() -> Iterator[type[Commands]]:
    """Return a maker of stacks with random names that are gone when the tests end."""
    if os.geteuid() != 0:
        pytest.skip("an embedded cluster needs root")
    made: list[Commands] = []

    def make(purpose: str, **settings: str) -> Commands:
        commands = Commands(f"e2e-{purpose}-{secrets.token_hex(2)}")
        made.append(commands)
        _configure(commands.name, {"ephemeral": "true", **settings})
        return commands

    yield make  # type: ignore[misc]
    for commands in made:
        file = CHECKOUT / f"Pulumi.{commands.name}.yaml"
        if commands.run("down", "--replace", "*", check=False).returncode:
            # A lasting one that holds data goes as its user is told.
            text = file.read_text()
            file.write_text(re.sub(r"(:ephemeral: ).*", r"\1true", text))
            commands.run("up")
            commands.run("down")
        file.unlink(missing_ok=True)
        config = CHECKOUT / ".state/config" / f"Pulumi.{commands.name}.yaml"
        config.unlink(missing_ok=True)


@pytest.fixture(scope="session", name="command_lines")
def seen_command_lines() -> Iterator[set[str]]:
    """Return the command lines of all processes from before the shared stack's `up`."""
    with command_lines.collected() as found:
        yield found


@pytest.fixture(scope="session")
def whole_stack(new_stack: Callable[..., Commands], command_lines: set[str]) -> Commands:
    """Return a stack with everything on, up once for several files of tests.

    MLOPS_E2E_STACK=NAME names one that is up already, and stays so.
    """
    if existing := os.environ.get("MLOPS_E2E_STACK"):
        return Commands(existing)
    commands = new_stack("whole", servingEngines="both", trainingOperator="true", notebooks="true")
    commands.run("up")
    return commands


@pytest.fixture(scope="session")
def whole_outputs(whole_stack: Commands) -> dict[str, Any]:
    """Return its outputs, secrets included."""
    return whole_stack.stack.outputs()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests of the shared stack come last, so that no other runs beside it."""
    items.sort(key=lambda item: "whole_stack" in getattr(item, "fixturenames", ()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add its evidence to the report of a test that has failed, or that a fixture has failed."""
    report = yield
    if report.failed and report.when != "teardown" and EVIDENCE in item.stash:
        report.sections.append(("Evidence", item.stash[EVIDENCE]()))
    return report
