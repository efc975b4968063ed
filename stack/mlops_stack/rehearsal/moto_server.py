"""AWS, played by a moto server of this machine."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from mlops_infra import direct
from mlops_stack.rehearsal.errors import RehearsalError
from mlops_stack.rehearsal.ports import free_port

REGION: Final = "eu-central-1"
ACCOUNT: Final = "123456789012"
_START_SECONDS = 60


def credentials(endpoint: str) -> dict[str, str]:
    """Return the variables with which a user of AWS reaches the server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "rehearsal",
        "AWS_SECRET_ACCESS_KEY": "rehearsal",
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def serve(log: Path, address: str = "127.0.0.1") -> Iterator[str]:
    """Run a server until the block ends; yields its URL.

    Args:
        log: file for what it says.
        address: address of this machine that it listens on.

    Raises:
        RehearsalError: it does not start.
    """
    port = free_port(address)
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", address, "-p", str(port)],
            stdout=output,
            stderr=output,
            env={
                **os.environ,
                "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
                # So that a policy of AWS that does not exist is refused.
                "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
            },
        )
        endpoint = f"http://{address}:{port}"
        try:
            _await(endpoint, process)
            yield endpoint
        finally:
            process.terminate()
            process.wait()


def _await(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with direct.client() as client:
                if client.get(f"{endpoint}/moto-api/").is_success:
                    return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RehearsalError("the moto server did not start; run `uv sync --locked` and try again")
