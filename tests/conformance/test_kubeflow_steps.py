"""Kubeflow's driver and launcher on ML Metadata, the S3 gateway and Kubernetes' API, all real."""

import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_stack.rehearsal.ports import free_port
from tests.conformance import mariadb, metadata_server
from tests.conformance.cluster import Cluster
from tests.conformance.kubeflow_step import Runner, Servers, Step
from tests.conformance.mariadb import Server
from tests.conformance.tools import find
from tests.s3 import stores

pytestmark = [
    pytest.mark.timeout(300),
    *metadata_server.NEEDS,
    pytest.mark.skipif(os.geteuid() != 0, reason="containers' file systems are root's to mount"),
    pytest.mark.skipif(not find("kfp-launcher"), reason="needs programs: run `make toolchain`"),
]

_BUCKET = "pipelines"
_OUTPUT = "/tmp/kfp_outputs/output_metadata.json"  # noqa: S108 - of the step's own file system


@dataclass(frozen=True, kw_only=True)
class World:
    """What a step meets.

    Attributes:
        servers: ML Metadata and the cache, which can lose answers.
        runner: of driver and launcher.
        database: of ML Metadata.
        s3: a client of the object store.
    """

    servers: Servers
    runner: Runner
    database: Server
    s3: Any

    def ask(self, statement: str) -> list[str]:
        return self.database.ask(statement, database="metadb").splitlines()

    def properties(self, run: str) -> dict[str, dict[str, float]]:
        """Return the numbers in the metadata of a run's artifacts, by artifact."""
        rows = self.ask(
            "SELECT SUBSTRING_INDEX(a.uri, '/', -1), p.name, p.double_value FROM Artifact a"  # noqa: S608
            " LEFT JOIN ArtifactProperty p ON p.artifact_id = a.id"
            f" AND p.double_value IS NOT NULL WHERE a.uri LIKE '%/{run}/%'"
        )
        found: dict[str, dict[str, float]] = {}
        for artifact, name, value in (row.split("\t") for row in rows):
            found.setdefault(artifact, {})
            if name != "NULL":
                found[artifact][name] = float(value)
        return found

    def keys(self, run: str) -> dict[str, str]:
        """Return the keys of a run's objects, by the last part."""
        prefix = f"artifacts/pipeline/{run}/"
        listed = self.s3.list_objects_v2(Bucket=_BUCKET, Prefix=prefix).get("Contents", ())
        return {found["Key"].rpartition("/")[2]: found["Key"] for found in listed}


@pytest.fixture(scope="module")
def world(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    mariadb.ensure()
    folder = tmp_path_factory.mktemp("world")
    site = metadata_server.unpack(tmp_path_factory.mktemp("site"))
    with tempfile.TemporaryDirectory(prefix="mariadb-") as data, stores.gateway(folder) as store:
        Path(data).chmod(0o755)
        database = Server(folder=Path(data), port=free_port())
        with (
            database.running(),
            metadata_server.running(site, database, folder) as (port, log),
        ):
            metadata_server.wait(log)
            s3 = store.client()
            s3.create_bucket(Bucket=_BUCKET)
            servers = Servers(metadata=f"127.0.0.1:{port}", port=free_port())
            yield World(
                servers=servers,
                runner=Runner(
                    kubeconfig=cluster.kubeconfig,
                    namespace=_settings(cluster, store),
                    port=servers.port,
                ),
                database=database,
                s3=s3,
            )


def _settings(cluster: Cluster, store: stores.Store) -> str:
    """Make the store's ConfigMap and Secret as the stack does; return their namespace."""
    namespace = cluster.namespace()
    keys = {"secretName": "store", "accessKeyKey": "accesskey", "secretKeyKey": "secretkey"}
    default = {
        "endpoint": store.connection.endpoint,
        "region": store.connection.region,
        "disableSSL": True,
        "forcePathStyle": True,
        "credentials": {"fromEnv": False, "secretRef": keys},
    }
    cluster.create(
        f"/api/v1/namespaces/{namespace}/configmaps",
        {
            "metadata": {"name": "kfp-launcher"},
            "data": {
                "defaultPipelineRoot": f"s3://{_BUCKET}/artifacts",
                "providers": yaml.safe_dump({"s3": {"default": default}}),
            },
        },
    )
    cluster.create(
        f"/api/v1/namespaces/{namespace}/secrets",
        {
            "metadata": {"name": "store"},
            "stringData": {
                "accesskey": store.connection.access_key,
                "secretkey": store.connection.secret_key,
            },
        },
    )
    return namespace


@pytest.fixture(name="run")
def new_run() -> str:
    return secrets.token_hex(8)


def _step(output: str, *, mark: str, **outputs: str) -> Step:
    """Return a step that writes a file `data`, and this text as its output.

    Args:
        output: the text, as Python's executor writes it.
        mark: makes its cache entry its own.
        outputs: schema titles of further output artifacts.
    """
    script = f"""
        : {mark}
        printf hello > "{{{{$.outputs.artifacts['data'].path}}}}"
        mkdir -p {Path(_OUTPUT).parent}
        cat > {_OUTPUT} <<'END'\n{output}\nEND
    """
    return Step(script=script, outputs={"data": "system.Dataset", **outputs})


def _of(metadata: dict[str, str]) -> str:
    """Return an executor's output with this JSON as the metadata of its artifacts."""
    artifacts = ", ".join(
        f'"{name}": {{"artifacts": [{{"metadata": {text}}}]}}' for name, text in metadata.items()
    )
    return f'{{"artifacts": {{{artifacts}}}}}'


def test_metrics_that_are_no_numbers_are_left_out_and_named(world: World, run: str) -> None:
    curve = (
        '{"confidenceMetrics": [{"confidenceThreshold": Infinity, "recall": 0.0},'
        ' {"confidenceThreshold": 0.5, "recall": 1.0}]}'
    )
    text = '{"precision": NaN, "loss": -Infinity, "accuracy": 0.5, "note": "is NaN \\" Infinity"}'
    step = _step(
        _of({"metrics": text, "curve": curve}),
        mark=run,
        metrics="system.Metrics",
        curve="system.ClassificationMetrics",
    )
    with world.servers.running():
        _, command, _ = world.runner.drive(step, run)
        done = world.runner.launch(command)
    assert done.code == 0, done.log
    assert 'The metric "precision" of the output artifact "metrics" is left out' in done.log
    assert 'The metric "loss" of the output artifact "metrics" is left out' in done.log
    assert 'A point of "confidenceMetrics" of the output artifact "curve" is left out' in done.log
    properties = world.properties(run)
    assert properties["metrics"] == {"accuracy": 0.5}
    assert properties["data"] == {"stored_files": 1}
    assert world.ask(
        "SELECT string_value FROM ArtifactProperty WHERE name = 'note' ORDER BY artifact_id DESC"
    )[0].startswith("is NaN ")
    # The UI shows the file of each artifact, of metrics an empty one.
    keys = world.keys(run)
    sizes = {
        name: world.s3.head_object(Bucket=_BUCKET, Key=key)["ContentLength"]
        for name, key in keys.items()
        if name != "executor-logs"
    }
    assert sizes == {"data": 5, "metrics": 0, "curve": 0}


def test_a_parameter_that_is_no_number_is_named(world: World, run: str) -> None:
    step = _step('{"parameterValues": {"score": NaN, "rows": 3}}', mark=run)
    step = Step(script=step.script, outputs=step.outputs, parameters=("score", "rows"))
    with world.servers.running():
        _, command, _ = world.runner.drive(step, run)
        done = world.runner.launch(command)
    assert done.code == 1
    assert "an output must be a finite number: parameterValues.score is NaN" in done.log


def test_a_call_whose_answer_is_lost_is_made_again_and_writes_once(world: World, run: str) -> None:
    tables = ("Execution", "Artifact", "Event", "Association", "Attribution", "Context")

    def count() -> dict[str, int]:
        return {
            name: int(world.ask(f"SELECT COUNT(*) FROM {name}")[0])  # noqa: S608 - of `tables`
            for name in tables
        }

    def run_step(name: str) -> dict[str, int]:
        before = count()
        step = _step(_of({"metrics": '{"a": 1}'}), mark=name, metrics="system.Metrics")
        with world.servers.running():
            _, command, _ = world.runner.drive(step, name)
            done = world.runner.launch(command)
        assert done.code == 0, done.log
        return {table: number - before[table] for table, number in count().items()}

    expected = run_step(run)
    world.servers.lossy = True
    world.servers.lost.clear()
    try:
        assert run_step(f"{run}-lossy") == expected
    finally:
        world.servers.lossy = False
    lost = {method.rpartition("/")[2] for method in world.servers.lost}
    assert {"PutExecution", "PutArtifacts", "PutContexts", "PutParentContexts"} <= lost
    assert {"ListTasksV1", "CreateTaskV1"} <= lost
    # RUNNING 2, COMPLETE 3: the run's, and the step's.
    states = world.ask("SELECT last_known_state FROM Execution ORDER BY id DESC LIMIT 2")
    assert states == ["3", "2"]


@contextmanager
def _later(servers: Servers, seconds: float) -> Iterator[None]:
    """Let the servers come up later, as after a restart."""
    over = threading.Event()

    def serve() -> None:
        time.sleep(seconds)
        with servers.running():
            over.wait()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_driver_and_launcher_wait_for_servers_that_restart(world: World, run: str) -> None:
    step = _step("{}", mark=run)
    with _later(world.servers, 3):
        _, command, _ = world.runner.drive(step, run)
    began = time.monotonic()
    with _later(world.servers, 3):
        done = world.runner.launch(command)
    assert done.code == 0, done.log
    assert time.monotonic() - began > 3


def test_a_step_whose_files_are_gone_runs_again(world: World, run: str) -> None:
    step = _step(_of({"metrics": '{"a": 1}'}), mark=run, metrics="system.Metrics")
    with world.servers.running():
        reused, command, _ = world.runner.drive(step, f"{run}-1")
        assert not reused
        done = world.runner.launch(command)
        assert done.code == 0, done.log
        # What no step reads may be gone.
        keys = world.keys(f"{run}-1")
        world.s3.delete_object(Bucket=_BUCKET, Key=keys["executor-logs"])
        assert world.runner.drive(step, f"{run}-2")[0]
        world.s3.delete_object(Bucket=_BUCKET, Key=keys["data"])
        reused, command, log = world.runner.drive(step, f"{run}-3")
        assert not reused
        assert 'files of its output artifact "data" are gone' in log
        assert world.runner.launch(command).code == 0
        # From now on it is the new result that is reused.
        assert world.runner.drive(step, f"{run}-4")[0]


def test_a_store_that_does_not_answer_changes_nothing(
    world: World, run: str, cluster: Cluster
) -> None:
    step = _step("{}", mark=run)
    secret = f"/api/v1/namespaces/{world.runner.namespace}/secrets/store"
    with world.servers.running():
        _, command, _ = world.runner.drive(step, f"{run}-1")
        assert world.runner.launch(command).code == 0
        keys = cluster.must_get(secret)["data"]
        cluster.merge(secret, {"data": {"accesskey": "bm9ib2R5"}})
        try:
            reused, _, log = world.runner.drive(step, f"{run}-2")
        finally:
            cluster.merge(secret, {"data": keys})
    assert reused
    assert "is not known, they are taken to be there" in log


def test_a_result_that_ml_metadata_has_lost_is_not_reused(world: World, run: str) -> None:
    step = _step("{}", mark=run)
    with world.servers.running():
        _, command, _ = world.runner.drive(step, f"{run}-1")
        assert world.runner.launch(command).code == 0
        world.ask("UPDATE Execution SET id = id + 1000000 ORDER BY id DESC LIMIT 1")
        reused, _, log = world.runner.drive(step, f"{run}-2")
    assert not reused
    assert "the result of execution" in log
