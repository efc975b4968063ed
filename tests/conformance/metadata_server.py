"""ML Metadata's server as its image starts it, as a plain process on this machine."""

import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlops_platform.pipelines import kubeflow_manifests
from mlops_stack.rehearsal.ports import free_port
from mlops_toolchain import keys
from mlops_toolchain.artefacts import BY_NAME
from tests.conformance.mariadb import PASSWORD, USER, Server
from tests.unit.conftest import CHECKOUT

PROGRAM = CHECKOUT / "toolchain/images/ml-metadata/metadata_server.py"
_PACKAGES = keys.result(BY_NAME["ml-metadata-packages"]) / "site.tar"
NEEDS = (
    pytest.mark.skipif(not _PACKAGES.exists(), reason="needs its packages: run `make toolchain`"),
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="its library is for Python 3.11"),
)


def unpack(folder: Path) -> Path:
    """Unpack the packages of its image; return the folder."""
    with tarfile.open(_PACKAGES) as archive:
        archive.extractall(folder, filter="data")
    return folder


@contextmanager
def running(site: Path, database: Server, folder: Path) -> Iterator[tuple[int, Path]]:
    """Run the server with what the stack gives it; yield its port and its log."""
    port, log, config = free_port(), folder / "server.log", folder / "config"
    config.write_text(
        kubeflow_manifests.metadata_config(
            host="127.0.0.1", port=database.port, user=USER, password=PASSWORD
        )
    )
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, PROGRAM, f"--grpc_port={port}"),
                f"--metadata_store_server_config_file={config}",
            ],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(site)},
            stdout=output,
            stderr=output,
        )
    try:
        yield port, log
        assert process.poll() is None, log.read_text()
        assert PASSWORD not in Path(f"/proc/{process.pid}/cmdline").read_text()
    finally:
        process.kill()
        process.wait()


def wait(log: Path) -> None:
    """Return once the server whose log this is listens."""
    deadline = time.monotonic() + 60
    while "listens" not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
