"""Runs `make env`, `make envs` and `make reap` as a user does, on templates of the tests' own."""

import dataclasses
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from mlops_infra.node.leftovers import leftovers
from mlops_stack.environments import records
from mlops_stack.pulumi_cli import Stack
from tests.e2e.conftest import CHECKOUT, Commands

_TIMEOUT_SECONDS = 600


def start(*words: str) -> subprocess.Popen[str]:
    """Begin a command."""
    return subprocess.Popen(
        [sys.executable, "-m", "mlops_stack.environments", *words],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Return how a command ended, and what it printed."""
    out, error = process.communicate(timeout=_TIMEOUT_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return finish(start(*words))


def listed() -> dict[str, dict[str, Any]]:
    """Return what `make envs FORMAT=json` says, by name."""
    done = run("list", "--format", "json")
    assert done.returncode == 0, done.stderr
    return {found["name"]: found for found in json.loads(done.stdout)}


def expire(name: str) -> None:
    """Let an environment's time be over."""
    records.write(Stack(name), expires="1")


@dataclasses.dataclass(frozen=True)
class Template:
    """A template, and what is made from it.

    Attributes:
        name: its stack's name.
        made: the names of the environments that a test has asked for.
    """

    name: str
    made: list[str] = dataclasses.field(default_factory=list)

    def new_name(self, purpose: str) -> str:
        """Return the name of an environment that is gone when the test ends."""
        self.made.append(f"{purpose}-{secrets.token_hex(2)}")
        return self.made[-1]


@contextmanager
def template(**values: str) -> Iterator[Template]:
    """Give a template with these settings, and take down at the end what was made from it."""
    found = Template(f"e2e-template-{secrets.token_hex(2)}")
    file = CHECKOUT / f"Pulumi.{found.name}.yaml"
    settings = {f"mlops-platform:{key}": value for key, value in values.items()}
    file.write_text(yaml.safe_dump({"config": settings}))
    try:
        yield found
    finally:
        for name in found.made:
            if name in Stack.names() or leftovers(name):
                Commands(name).run("down", "--keep", "none", check=False)
            for left in (CHECKOUT / ".state/config").glob(f"Pulumi.{name}.*"):
                left.unlink()
        file.unlink()
