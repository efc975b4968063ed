"""Commands on a stack that is up, from a shell whose variables are meant for something else."""

import os
import subprocess

import pytest

from tests.e2e.conftest import CHECKOUT, Commands
from tests.unit.nonsense import NONSENSE

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("command", ["predict", "preview"])
def test_a_command_takes_no_notice_of_a_proxy_or_of_awss_variables(
    whole_stack: Commands, command: str
) -> None:
    done = subprocess.run(
        whole_stack.command(command),
        cwd=CHECKOUT,
        env={**os.environ, **NONSENSE, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
