"""A stack whose S3 is moto's, and whose Pods are processes behind a kubectl of the tests' own."""

import functools
import json
import multiprocessing
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
from moto.server import ThreadedMotoServer

from mlops_infra import object_store
from mlops_infra.object_store import Connection
from mlops_stack import environment
from mlops_stack.pulumi_cli import Stack
from mlops_toolchain import layout

# What is asked of the API server is read from files; what runs in a Pod runs here.
_KUBECTL = """#!{python} -IS
import json, os, pathlib, sys
here = pathlib.Path({folder!r})
words = [word for word in sys.argv[1:] if not word.startswith(("--kubeconfig", "--namespace"))]
with (here / "commands").open("a") as log:
    log.write(" ".join(words)[:200].replace("\\n", " ") + "\\n")
refused = here / "refused"
if refused.exists() and words[0] in refused.read_text().split():
    sys.exit("Error from server (Forbidden): no")
match words[0]:
    case "get" if "--output=name" in words:
        print("pod/it")
    case "get":
        file = here / (words[1].partition(".")[0] + ".json")
        print(json.dumps({{"items": json.loads(file.read_text()) if file.exists() else []}}))
    case "scale":
        (here / "replicas").write_text(words[-1].partition("=")[2])
    case "exec" if "sh" in words:
        # The image's programs, and none of this machine's database.
        os.environ["PATH"] = f"{{here}}:{{here}}/coreutils"
        os.environ |= {{"MYSQL_USER": "kubeflow", "MYSQL_PASSWORD": "a secret"}}
        os.execv("/bin/sh", words[words.index("sh") :])
    case "exec":
        inside = words[words.index("--") + 1 :]
        files = ("/data/mlflow.db", "/tmp/mlops-kept.db")
        inside = [f"{{here}}/{{pathlib.Path(w).name}}" if w in files else w for w in inside]
        inside = [f"{{here}}/home" if w == "/home-of-notebook" else w for w in inside]
        if "wake" in inside:
            print("{{}}")
        else:
            if inside[0] == "python3":
                # One of them looks for MLflow's version; the others start sooner.
                inside[:1] = [{python!r}] if "export" in inside else [{python!r}, "-IS"]
            os.execvp(inside[0], inside)
    case _:
        pass
"""

_DUMP = """#!/bin/sh
test "$MYSQL_PWD" = "a secret" && cat {folder}/kubeflow.sql
"""
# An import replaces the dump that there is; whatever is asked has one answer for all.
_CLIENT = """#!{python} -IS
import pathlib, sys
here = pathlib.Path({folder!r})
if statement := [word for word in sys.argv if word.startswith("--execute=")]:
    count = (here / "kubeflow.sql").read_text().count("a run")
    print(*([count] * statement[0].count("COUNT") or [4096]), sep="\t")
else:
    (here / "kubeflow.sql").write_bytes(sys.stdin.buffer.read())
"""

_POD_OF_MLFLOW = {"spec": {"template": {"spec": {"containers": [{"image": "mlflow:1"}]}}}}
_NOTEBOOK = {
    "metadata": {"name": "notebook", "namespace": "notebooks"},
    "spec": {
        "template": {
            "spec": {
                "containers": [{"name": "notebook"}],
                "volumes": [
                    {"name": "home", "persistentVolumeClaim": {"claimName": "home-1"}},
                    {"name": "tmp", "emptyDir": {}},
                ],
            }
        }
    },
}


@dataclass
class World:
    """A stack, its S3, and the folder of what its Pods hold.

    Attributes:
        folder: MLflow's database, the API server's objects, and the log of commands.
        connection: its S3.
    """

    folder: Path
    connection: Connection
    name: str = "pr-1"
    kubeflow_url: str = "http://127.0.0.1:1"

    def resources(self) -> list[dict[str, Any]]:
        return [
            {
                "type": "kubernetes:apps/v1:Deployment",
                "urn": "urn:pulumi:pr-1::p::mlops:platform:Mlflow$x::mlflow-server",
            }
        ]

    def outputs(self) -> dict[str, Any]:
        return {
            "kubeconfig": "a kubeconfig",
            "kubeflow_url": self.kubeflow_url,
            "buckets": {"artifacts": "artifacts", "models": "models"},
            "s3_url": self.connection.endpoint,
            "s3_region": self.connection.region,
            "s3_access_key": self.connection.access_key,
            "s3_secret_key": self.connection.secret_key,
        }

    @property
    def stack(self) -> Stack:
        return cast("Stack", self)

    @functools.cached_property
    def s3(self) -> Any:
        return object_store.client(self.connection)

    @property
    def commands(self) -> list[str]:
        return (self.folder / "commands").read_text().splitlines()

    @property
    def controllers(self) -> str:
        """Return how many controllers of schedules were asked for last; empty for never."""
        file = self.folder / "replicas"
        return file.read_text() if file.exists() else ""

    def has(self, kind: str, *objects: dict[str, Any]) -> None:
        """Let the API server have objects of a kind."""
        (self.folder / f"{kind}.json").write_text(json.dumps(objects))

    def refuses(self, *verbs: str) -> None:
        """Let the API server refuse commands."""
        (self.folder / "refused").write_text(" ".join(verbs))

    def writes_to_mlflow(self) -> None:
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as database:
            database.execute("INSERT INTO runs VALUES ('later')")
            database.commit()

    def writes_to_kubeflow(self) -> None:
        file = self.folder / "kubeflow.sql"
        file.write_text(f"a run\n{file.read_text()}")


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def world(tmp_path: Path, moto: str, monkeypatch: pytest.MonkeyPatch) -> World:
    """A stack with a model of 3 MB, an empty artifact, two runs, and a schedule."""
    folder, tools = tmp_path / "world", tmp_path / "bin"
    folder.mkdir()
    tools.mkdir()
    kubectl = tools / "kubectl"
    kubectl.write_text(_KUBECTL.format(python=sys.executable, folder=str(folder)))
    kubectl.chmod(0o755)
    (folder / "coreutils").mkdir()
    for name in ("cat", "sh"):
        (folder / "coreutils" / name).symlink_to(f"/bin/{name}")
    for name, text in (("mariadb-dump", _DUMP), ("mariadb", _CLIENT)):
        (folder / name).write_text(text.format(python=sys.executable, folder=str(folder)))
        (folder / name).chmod(0o755)
    monkeypatch.setattr(layout, "bin_dir", lambda: tools)
    monkeypatch.setattr(environment, "state_dir", lambda: tmp_path / "state")
    connection = Connection(
        endpoint=moto, region="us-east-1", access_key=tmp_path.name, secret_key="testing"
    )
    found = World(folder, connection)
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        database.executescript(
            "CREATE TABLE alembic_version (version_num TEXT);"
            "CREATE TABLE registered_models (name TEXT); CREATE TABLE runs (id TEXT);"
            "CREATE TABLE model_versions (name TEXT, version INT);"
            "INSERT INTO alembic_version VALUES ('abc'); INSERT INTO runs VALUES ('1'), ('2');"
            "INSERT INTO registered_models VALUES ('m');"
            "INSERT INTO model_versions VALUES ('m', 1);"
        )
    for bucket in found.s3.list_buckets()["Buckets"]:
        object_store.empty_bucket(found.s3, bucket["Name"])
        found.s3.delete_bucket(Bucket=bucket["Name"])
    for bucket in ("artifacts", "models", "datasets", "pipelines"):
        object_store.create_bucket(found.s3, bucket)
    object_store.set_versioning(found.s3, "models", enabled=True)
    found.s3.put_object(Bucket="models", Key="m/1", Body=bytes(3_000_000))
    found.s3.put_object(Bucket="artifacts", Key="mlflow/é", Body=b"")
    (folder / "kubeflow.sql").write_text("a run\na run\n-- Dump completed\n")
    home = folder / "home"
    home.mkdir()
    (home / "work ü.ipynb").write_text("cells")
    (home / "latest").symlink_to("work ü.ipynb")
    found.has("crd", {})
    found.has("deployments", _POD_OF_MLFLOW)
    found.has("notebooks", _NOTEBOOK)
    found.has("scheduledworkflows", {"metadata": {"name": "nightly"}})
    return found


class Kubeflow(BaseHTTPRequestHandler):
    """Kubeflow's API, as far as an import asks it."""

    runs = 0
    schedules: list[dict[str, Any]] = []  # noqa: RUF012 - the test's own

    def do_GET(self) -> None:
        if "recurringruns" in self.path:
            self._answer({"recurringRuns": self.schedules})
        else:
            self._answer({"total_size": self.runs})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        made = {**body, "recurring_run_id": f"{body['display_name']}-again"}
        self.schedules.append(made)
        self._answer(made)

    def do_DELETE(self) -> None:
        gone = self.path.rpartition("/")[2]
        self.schedules[:] = [s for s in self.schedules if s["recurring_run_id"] != gone]
        self._answer({})

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


@pytest.fixture
def kubeflow(world: World) -> Iterator[type[Kubeflow]]:
    class Api(Kubeflow):
        schedules = []  # noqa: RUF012

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    world.kubeflow_url = f"http://127.0.0.1:{server.server_address[1]}"
    yield Api
    server.shutdown()
    server.server_close()


def run_to_a_kill(work: Callable[[], Any]) -> None:
    """Run work in a process of its own, which may be killed."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
