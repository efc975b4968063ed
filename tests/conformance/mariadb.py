"""MariaDB as its image starts it, as plain processes on this machine."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlops_toolchain import host_packages
from mlops_toolchain.artefacts import TEST_PACKAGES
from tests.unit.conftest import CHECKOUT

DATABASES = ("mlpipeline", "metadb")
USER = "kubeflow"
PASSWORD = "secret-of-the-database"
START = CHECKOUT / "toolchain/images/mariadb/start"
_SECONDS = 120


def ensure() -> None:
    """Install the server where it is missing."""
    if os.geteuid() == 0:
        host_packages.ensure(TEST_PACKAGES)
    assert shutil.which("mariadbd", path=_path()), "run this as root, which installs mariadbd"


def _path() -> str:
    # Where Debian has the server is not on everybody's PATH.
    return f"{os.environ['PATH']}:/usr/sbin"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server's data, and how to start and ask it.

    Attributes:
        folder: its volume and its files in memory.
        port: its TCP port.
    """

    folder: Path
    port: int

    def __post_init__(self) -> None:
        for name in ("volume", "run"):
            place = self.folder / name
            place.mkdir()
            if os.geteuid() == 0:
                # The server refuses to run as root.
                shutil.chown(place, "nobody", "nogroup")

    @property
    def volume(self) -> Path:
        return self.folder / "volume"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def command(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a program as the server's user, with the variables of its container."""
        account = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                words,
                env={
                    "PATH": _path(),
                    "VOLUME": str(self.volume),
                    "RUN": str(self.folder / "run"),
                    "PORT": str(self.port),
                    "DATABASES": " ".join(DATABASES),
                    "EXACT_DATABASES": "metadb",
                    "MYSQL_USER": USER,
                    "MYSQL_PASSWORD": PASSWORD,
                },
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                extra_groups=[] if account else None,
                **account,  # type: ignore[arg-type]
            )

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the image's start script, or another program, until the block ends."""
        process = self.command(*(words or ("sh", str(START))))
        try:
            deadline = time.monotonic() + _SECONDS
            while not self._answers():
                assert process.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.1)
            yield process
        finally:
            process.terminate()
            process.wait(_SECONDS)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return bool(connection.recv(1))
        except OSError:
            return False

    def ask(self, statement: str, *, database: str = "mlpipeline", charset: str = "utf8mb4") -> str:
        """Return what a client of the account is answered."""
        answered = subprocess.run(
            [
                *("mariadb", "--no-defaults", "--protocol=tcp", "--host=127.0.0.1"),
                *(f"--port={self.port}", f"--user={USER}", f"--database={database}"),
                *("--batch", "--skip-column-names", f"--default-character-set={charset}"),
            ],
            input=statement,
            env={"PATH": _path(), "MYSQL_PWD": PASSWORD},
            capture_output=True,
            text=True,
            check=False,
        )
        assert answered.returncode == 0, answered.stderr
        return answered.stdout.rstrip("\n")
