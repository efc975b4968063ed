"""The S3 servers that the suite asks, each at an address and with keys of its own."""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

from mlops_infra.object_store import Connection
from mlops_infra.s3_gateway import arguments
from mlops_stack.rehearsal.ports import free_port
from tests.conformance import tools

REGION = "us-east-1"
_START_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Store:
    """An S3 API.

    Attributes:
        name: gateway, moto or address.
        connection: where it is and who asks.
    """

    name: str
    connection: Connection

    def client(self, *, access_key: str = "", secret_key: str = "", **config: Any) -> Any:
        """Return a client as a user makes one: SDK's defaults but for the address.

        Args:
            access_key: of another account.
            secret_key: of another account.
            config: settings of `botocore.config.Config`.
        """
        settings = {"s3": {"addressing_style": "path"}, "retries": {"max_attempts": 0}, **config}
        return boto3.client(
            "s3",
            endpoint_url=self.connection.endpoint,
            region_name=self.connection.region,
            aws_access_key_id=access_key or self.connection.access_key,
            aws_secret_access_key=secret_key or self.connection.secret_key,
            config=Config(max_pool_connections=32, **settings),
        )


@dataclass
class Gateway:
    """The pinned S3 gateway as a process on loopback, over a folder.

    Attributes:
        folder: what it keeps.
        accounts: whether it knows more accounts than the one that its start names.
    """

    folder: Path
    accounts: bool = False
    port: int = 0
    access_key: str = field(default_factory=lambda: secrets.token_hex(8))
    secret_key: str = field(default_factory=lambda: secrets.token_hex(16))
    process: subprocess.Popen[bytes] | None = None

    @property
    def store(self) -> Store:
        """Return its API."""
        return Store(
            name="gateway",
            connection=Connection(
                endpoint=f"http://127.0.0.1:{self.port}",
                region=REGION,
                access_key=self.access_key,
                secret_key=self.secret_key,
            ),
        )

    def start(self) -> None:
        """Start it with the arguments that it has on the cluster, and wait until it answers."""
        for name in ("objects", "versions", "accounts"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if not self.port:
            self.port = free_port()
        self.process = subprocess.Popen(
            [
                program(),
                *(("--iam-dir", str(self.folder / "accounts")) if self.accounts else ()),
                *arguments(address=f"127.0.0.1:{self.port}", data=str(self.folder)),
            ],
            env={"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2):
                    return
            except (URLError, OSError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, and wait until it is gone."""
        if self.process:
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None

    def admin(self, *command: str) -> None:
        """Run one of its administrator's commands."""
        subprocess.run(
            [
                program(),
                *("admin", "--access", self.access_key, "--secret", self.secret_key),
                *("--region", REGION, "--endpoint-url", self.store.connection.endpoint, *command),
            ],
            check=True,
            capture_output=True,
        )


def program() -> str:
    """Return the gateway's program: `make toolchain` builds it; $S3_GATEWAY names another."""
    found = os.environ.get("S3_GATEWAY") or tools.find("versitygw")
    if not found:
        raise FileNotFoundError("versitygw is not built: run `make toolchain`")
    return str(found)


@contextmanager
def gateway(folder: Path) -> Iterator[Store]:
    """Run the gateway over a new folder."""
    running = Gateway(folder)
    running.start()
    try:
        yield running.store
    finally:
        running.end()


@contextmanager
def moto() -> Iterator[Store]:
    """Run moto's S3."""
    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Store(
            name="moto",
            connection=Connection(
                endpoint=f"http://{host}:{port}",
                region=REGION,
                access_key="testing",
                secret_key="testing",
            ),
        )
    finally:
        server.stop()


def address() -> Store | None:
    """Return the S3 API that the environment names, None without one."""
    endpoint = os.environ.get("S3_TEST_ENDPOINT")
    if not endpoint:
        return None
    return Store(
        name="address",
        connection=Connection(
            endpoint=endpoint,
            region=os.environ.get("S3_TEST_REGION", REGION),
            access_key=os.environ["S3_TEST_ACCESS_KEY"],
            secret_key=os.environ["S3_TEST_SECRET_KEY"],
        ),
    )
