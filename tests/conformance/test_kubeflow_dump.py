"""Kubeflow's databases go out of one real server and into another, by the programs of the Pod."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlops_stack.backup import archive
from mlops_stack.backup.kubeflow_database import KubeflowDatabase
from mlops_stack.backup.pods import Pods
from mlops_stack.rehearsal.ports import free_port
from mlops_toolchain import layout
from tests.conformance import mariadb
from tests.conformance.mariadb import PASSWORD, USER, Server

pytestmark = pytest.mark.timeout(300)

# What runs in the Pod runs here; of the cluster nothing else is there.
_KUBECTL = """#!{python}
import os, sys
words = sys.argv[1:]
if "get" in words:
    print("pod/mariadb")
elif "exec" in words:
    os.environ |= {{"MYSQL_USER": {user!r}, "MYSQL_PASSWORD": {password!r}}}
    os.environ["MYSQL_TCP_PORT"] = "{port}"
    os.execvp("sh", words[words.index("sh") :])
"""
_TABLES = """
CREATE TABLE experiments (UUID varchar(255) PRIMARY KEY, Name varchar(255) NOT NULL UNIQUE);
CREATE TABLE run_details (UUID varchar(255) PRIMARY KEY, ExperimentUUID varchar(255) NOT NULL,
  Manifest longtext, FOREIGN KEY (ExperimentUUID) REFERENCES experiments (UUID));
CREATE TABLE pipelines (UUID varchar(255) PRIMARY KEY);
CREATE TABLE pipeline_versions (UUID varchar(255) PRIMARY KEY);
CREATE TABLE jobs (UUID varchar(255) PRIMARY KEY, UpdatedAtInSec bigint);
CREATE TABLE metadb.Execution (id int PRIMARY KEY AUTO_INCREMENT, name varchar(255));
CREATE TABLE metadb.Artifact (id int PRIMARY KEY, value blob);
"""
_ROWS = r"""
INSERT INTO experiments VALUES ('e', 'größe 航班 🍣');
INSERT INTO run_details VALUES ('1', 'e', 'a;\nb\';\n"'), ('2', 'e', REPEAT('ü', 100000));
INSERT INTO pipelines VALUES ('p');
INSERT INTO jobs VALUES ('j', 1), ('k', 1);
INSERT INTO metadb.Execution VALUES (7, 'e\\');
INSERT INTO metadb.Artifact VALUES (1, UNHEX('00FF270A3B0A')), (2, NULL);
"""
_ALL = (
    "SELECT * FROM experiments; SELECT UUID, ExperimentUUID, MD5(Manifest) FROM run_details;"
    "SELECT * FROM pipelines; SELECT UUID FROM jobs; SELECT * FROM metadb.Execution;"
    "SELECT id, HEX(value) FROM metadb.Artifact"
)


@pytest.fixture(scope="module", autouse=True)
def _server() -> None:
    mariadb.ensure()


@contextmanager
def _database(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, KubeflowDatabase]]:
    # Not pytest's folder, which only the tests' own user may enter.
    with tempfile.TemporaryDirectory(prefix="mariadb-") as folder:
        Path(folder).chmod(0o755)
        server = Server(folder=Path(folder), port=free_port())
        kubectl = Path(folder, "kubectl")
        kubectl.write_text(
            _KUBECTL.format(python=sys.executable, user=USER, password=PASSWORD, port=server.port)
        )
        kubectl.chmod(0o755)
        with server.running(), monkeypatch.context() as change:
            change.setattr(layout, "bin_dir", lambda: Path(folder))
            pods = Pods(Path(folder, "kubeconfig"))
            server.ask(_TABLES)
            yield server, KubeflowDatabase(pods)


def test_everything_comes_into_another_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kubeflow.sql.gz"
    with _database(monkeypatch) as (server, database):
        server.ask(_ROWS)
        before = server.ask(_ALL)
        assert database.size() > 0
        dump = database.dump(file)
        assert dump.content == archive.content_of(file)
        assert (dump.counts["runs"], dump.counts["executions"]) == (2, 1)
        # Kubeflow's agent notes by itself that schedules are there.
        server.ask("UPDATE jobs SET UpdatedAtInSec = 2")
        assert database.digest() == dump.sha256
        server.ask("UPDATE run_details SET Manifest = 'x' WHERE UUID = '1'")
        assert database.digest() != dump.sha256
    with _database(monkeypatch) as (server, database):
        # What the new stack's program has made.
        server.ask("INSERT INTO experiments VALUES ('new', 'Default')")
        database.restore(file, dump)
        assert server.ask(_ALL) == before
        # Keys hold, and numbers go on.
        server.ask("INSERT INTO metadb.Execution (name) VALUES ('next')")
        assert server.ask("SELECT MAX(id) FROM metadb.Execution") == "8"
        assert "FOREIGN KEY" in server.ask("SHOW CREATE TABLE run_details")
