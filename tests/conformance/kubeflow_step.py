"""Kubeflow's driver and launcher as Argo runs them, as plain processes on this machine."""

import base64
import json
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from mlops_kubernetes import kubeconfig as kubeconfigs
from tests.conformance.tools import find

_TASKS = "/api.TaskService/"
_SECONDS = 200
# A container's view of this machine: its programs, and a place of its own for all that is written.
_CONTAINER = """
set -e
root=$1; shift
mount --bind "$root" "$root"
for place in usr etc dev proc; do
  mkdir -p "$root/$place"
  mount --rbind "/$place" "$root/$place"
done
for link in bin lib lib64 sbin; do ln -sfn "usr/$link" "$root/$link"; done
exec chroot "$root" "$@"
"""


@dataclass
class Servers:
    """ML Metadata's server and the API server's cache at one address, as a bad network shows them.

    Attributes:
        metadata: address of the real ML Metadata.
        port: where both answer.
        lossy: whether the first answer of each method is lost after the call was carried out.
        lost: the methods whose answer was lost.
        tasks: the latest entry of the cache for each fingerprint, as it came.
    """

    metadata: str
    port: int
    lossy: bool = False
    lost: set[str] = field(default_factory=set)
    tasks: dict[bytes, bytes] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Return what answers a method."""
        method: str = details.method

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                reply = self._answer(method, request)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())
            with self._lock:
                losing = self.lossy and method not in self.lost
                if losing:
                    self.lost.add(method)
            if losing:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")
            return bytes(reply)

        return grpc.unary_unary_rpc_method_handler(answer)

    def _answer(self, method: str, request: bytes) -> bytes:
        if method == f"{_TASKS}CreateTaskV1":
            self.tasks[_fingerprint(request)] = request
            return b""
        if method == f"{_TASKS}ListTasksV1":
            # A list of one task is written as the request that made it: both have it as field 1.
            return self.tasks.get(_fingerprint(request), b"")
        with grpc.insecure_channel(self.metadata) as channel:
            return bytes(channel.unary_unary(method)(request, timeout=60))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Answer until the block ends."""
        server = grpc.server(futures.ThreadPoolExecutor(8))
        server.add_generic_rpc_handlers((self,))
        assert server.add_insecure_port(f"127.0.0.1:{self.port}") == self.port
        server.start()
        try:
            yield
        finally:
            server.stop(0).wait()


def _fingerprint(request: bytes) -> bytes:
    """Return the fingerprint in an entry of the cache, or in the filter of a list."""
    (found,) = re.findall(rb"[0-9a-f]{64}", request)
    return bytes(found)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A pipeline of one step, as its compiled text has it.

    Attributes:
        script: what the step's shell runs; the launcher replaces its placeholders.
        outputs: names of its output artifacts and the titles of their schemas.
        parameters: names of its output parameters, which are numbers.
    """

    script: str
    outputs: dict[str, str]
    parameters: tuple[str, ...] = ()

    @property
    def component(self) -> dict[str, Any]:
        artifacts = {
            name: {"artifactType": {"schemaTitle": title, "schemaVersion": "0.0.1"}}
            for name, title in self.outputs.items()
        }
        parameters = {name: {"parameterType": "NUMBER_DOUBLE"} for name in self.parameters}
        return {
            "executorLabel": "exec-step",
            "outputDefinitions": {"artifacts": artifacts, "parameters": parameters},
        }

    @property
    def task(self) -> dict[str, Any]:
        return {
            "taskInfo": {"name": "step"},
            "componentRef": {"name": "comp-step"},
            "cachingOptions": {"enableCache": True},
        }

    @property
    def container(self) -> dict[str, Any]:
        return {"image": "none", "command": ["sh"], "args": ["-c", self.script]}


@dataclass(frozen=True, kw_only=True)
class Done:
    """A program that has ended.

    Attributes:
        code: its exit code.
        log: what it printed.
    """

    code: int
    log: str


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs the programs in Pods' stead.

    Attributes:
        kubeconfig: a cluster that has the ConfigMap and the Secret of the object store.
        namespace: where they are.
        port: of ML Metadata and of the API server.
    """

    kubeconfig: Path
    namespace: str
    port: int

    def drive(self, step: Step, run: str) -> tuple[bool, list[str], str]:
        """Run the drivers of a run and of its step.

        Returns:
            Whether the step's result is reused, the launcher's command, and the log of the step's
            driver.
        """
        root = self._driver(
            "ROOT_DAG",
            run,
            component={"dag": {}},
            runtime_config={"parameterValues": {}},
        )
        done = self._driver(
            "CONTAINER",
            run,
            component=step.component,
            task=step.task,
            container=step.container,
            dag_execution_id=root["execution_id"],
        )
        if done["cached_decision"] == "true":
            return True, [], done["log"]
        (main,) = json.loads(done["pod_spec_patch"])["containers"]
        return False, [*main["command"], *main["args"]], done["log"]

    def launch(self, command: list[str]) -> Done:
        """Run a step's main container."""
        values = {
            "KFP_POD_NAME": "pod",
            "KFP_POD_UID": "uid",
            "METADATA_GRPC_SERVICE_HOST": "127.0.0.1",
            "METADATA_GRPC_SERVICE_PORT": str(self.port),
        }
        for name, value in values.items():
            command = [word.replace(f"$({name})", value) for word in command]
        with tempfile.TemporaryDirectory() as folder:
            return self._run("kfp-launcher", command[1:], Path(folder))

    def _driver(self, kind: str, run: str, **given: Any) -> dict[str, str]:
        results = ("execution_id", "iteration_count", "cached_decision", "condition")
        results = (*results, "pod_spec_patch")
        words = {
            "type": kind,
            "pipeline_name": "pipeline",
            "run_id": run,
            "task_name": "step" if kind == "CONTAINER" else "",
            "mlmd_server_address": "127.0.0.1",
            "mlmd_server_port": str(self.port),
            **{f"{name}_path": f"/results/{name}" for name in results},
            **dict.fromkeys(("http_proxy", "https_proxy", "no_proxy"), ""),
            **{k: v if isinstance(v, str) else json.dumps(v) for k, v in given.items()},
        }
        with tempfile.TemporaryDirectory() as folder:
            arguments = [f"--{name}={value}" for name, value in words.items()]
            done = self._run("kfp-driver", arguments, Path(folder))
            assert done.code == 0, done.log
            written = (Path(folder) / "results").iterdir()
            return {path.name: path.read_text() for path in written} | {"log": done.log}

    def _run(self, program: str, arguments: list[str], root: Path) -> Done:
        found = find(program)
        assert found, f"{program} is not built: run `make toolchain`"
        access = kubeconfigs.load(str(self.kubeconfig))
        account = root / "var/run/secrets/kubernetes.io/serviceaccount"
        for place in (account, root / "tmp", root / "results"):
            place.mkdir(parents=True)
        text = self.kubeconfig.read_text()
        authority = text.partition("certificate-authority-data: ")[2].split()[0]
        (account / "namespace").write_text(self.namespace)
        (account / "token").write_text(access.user["token"])
        (account / "ca.crt").write_bytes(base64.b64decode(authority))
        (root / program).write_bytes(found.read_bytes())
        (root / program).chmod(0o755)
        host, _, port = access.server.removeprefix("https://").rpartition(":")
        ended = subprocess.run(
            ["unshare", "--mount", "sh", "-c", _CONTAINER, "sh", root, f"/{program}", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "KUBERNETES_SERVICE_HOST": host,
                "KUBERNETES_SERVICE_PORT": port,
                "ML_PIPELINE_SERVICE_HOST": "127.0.0.1",
                "ML_PIPELINE_SERVICE_PORT_GRPC": str(self.port),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        return Done(code=ended.returncode, log=ended.stdout)
