"""ML Metadata's server on MariaDB, each as its image starts it."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlops_platform import kubeflow_manifests
from mlops_stack.rehearsal.ports import free_port
from mlops_toolchain import keys
from mlops_toolchain.artefacts import BY_NAME
from tests.conformance import mariadb
from tests.conformance.mariadb import PASSWORD, USER, Server
from tests.unit.conftest import CHECKOUT

PACKAGES = keys.result(BY_NAME["ml-metadata-packages"]) / "site.tar"
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not PACKAGES.exists(), reason="needs its packages: run `make toolchain`"),
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="its library is for Python 3.11"),
]
_PROGRAM = CHECKOUT / "toolchain/images/ml-metadata/metadata_server.py"
_CLIENT = Path(__file__).with_name("metadata_client.py")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of its image."""
    folder = tmp_path_factory.mktemp("site")
    with tarfile.open(PACKAGES) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def database() -> Iterator[Server]:
    mariadb.ensure()
    with tempfile.TemporaryDirectory(prefix="mariadb-") as folder:
        Path(folder).chmod(0o755)
        yield Server(folder=Path(folder), port=free_port())


@contextmanager
def _metadata(site: Path, database: Server, folder: Path) -> Iterator[tuple[int, Path]]:
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
                *(sys.executable, _PROGRAM, f"--grpc_port={port}"),
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


def _listens(log: Path) -> None:
    deadline = time.monotonic() + 60
    while "listens" not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_calls_wait_while_the_database_restarts(
    site: Path, database: Server, tmp_path: Path
) -> None:
    # It starts before its database, as after a restart of the node.
    with _metadata(site, database, tmp_path) as (port, log):
        with database.running():
            _listens(log)
            client = subprocess.Popen(
                [sys.executable, _CLIENT, str(port), "20"],
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(site)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert client.stdout
            assert client.stdout.readline() == "written\n"
            time.sleep(1)
        # Ended in order; then by force, in the middle of a statement.
        time.sleep(3)
        with database.running() as process:
            time.sleep(4)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            time.sleep(2)
        with database.running():
            output, errors = client.communicate(timeout=150)
            assert client.returncode == 0, errors + log.read_text()
    found = json.loads(output.splitlines()[-1])
    assert len(found["written"]) > 10
    assert found["names"] == found["texts"] == found["written"]
    assert "waiting for the database" in log.read_text()


def test_a_refused_account_ends_the_server_and_shows_no_password(
    site: Path, database: Server, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(
        kubeflow_manifests.metadata_config(
            host="127.0.0.1", port=database.port, user=USER, password='wrong "quoted" \\ größe'
        )
    )
    program = (
        "import metadata_server as m, pathlib, sys;"
        "from google.protobuf import text_format;"
        "c = text_format.Parse(pathlib.Path(sys.argv[1]).read_text(),"
        " m.proto.MetadataStoreServerConfig());"
        "m.Store(c.connection_config, c.migration_options).wait(seconds=1)"
    )
    with database.running():
        ended = subprocess.run(
            [sys.executable, "-c", program, config],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{site}:{_PROGRAM.parent}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert "mysql_real_connect failed" in ended.stderr
    assert "größe" not in ended.stderr
