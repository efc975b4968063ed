"""ML Metadata's server on MariaDB, each as its image starts it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_platform.pipelines import kubeflow_manifests
from mlops_stack.rehearsal.ports import free_port
from tests.conformance import mariadb, metadata_server
from tests.conformance.mariadb import USER, Server

pytestmark = [pytest.mark.timeout(300), *metadata_server.NEEDS]
_CLIENT = Path(__file__).with_name("metadata_client.py")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return metadata_server.unpack(tmp_path_factory.mktemp("site"))


@pytest.fixture
def database() -> Iterator[Server]:
    mariadb.ensure()
    with tempfile.TemporaryDirectory(prefix="mariadb-") as folder:
        Path(folder).chmod(0o755)
        yield Server(folder=Path(folder), port=free_port())


def test_calls_wait_while_the_database_restarts(
    site: Path, database: Server, tmp_path: Path
) -> None:
    # It starts before its database, as after a restart of the node.
    with metadata_server.running(site, database, tmp_path) as (port, log):
        with database.running():
            metadata_server.wait(log)
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
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{site}:{metadata_server.PROGRAM.parent}",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert "mysql_real_connect failed" in ended.stderr
    assert "größe" not in ended.stderr
