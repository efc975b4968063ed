"""A small server that keeps pipelines, schedules and runs as Kubeflow's API does."""

import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# As Kubeflow's API says it.
NOT_FOUND = {"code": 5, "message": "ResourceNotFoundError: Thing x not found", "details": []}


class Kubeflow:
    """What the server holds.

    Attributes:
        url: its address.
        pipelines: id to name.
        versions: id to (pipeline, name, content).
        spec: the compiled form of every version.
        script: answers for the runs to come.
        experiments: id to name.
        schedules: id to the request's body with its status.
        runs: id to the answers still to give, of which the last is kept.
        failures: answers to give before the next real one, as (status, body); a text body is HTML.
    """

    def __init__(self) -> None:
        self.url = ""
        self.pipelines: dict[str, str] = {}
        self.versions: dict[str, tuple[str, str, str]] = {}
        self.schedules: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, list[dict[str, Any]]] = {}
        self.spec: dict[str, Any] = {}
        self.script: list[dict[str, Any]] = []
        self.experiments: dict[str, str] = {}
        self.failures: list[tuple[int, dict[str, Any] | str]] = []

    def answer(self, method: str, path: str, query: str, body: bytes) -> tuple[int, Any]:
        """Return status and body."""
        if self.failures:
            return self.failures.pop(0)
        for pattern, name in _ROUTES:
            if match := re.fullmatch(pattern, f"{method} {path}"):
                found = getattr(self, name)(*match.groups(), query=query, body=body)
                return (200, found) if found is not None else (404, NOT_FOUND)
        return 501, {"message": f"{method} {path}"}

    def list_pipelines(self, *, query: str, body: bytes) -> Any:
        items = [{"pipeline_id": i, "display_name": n} for i, n in self.pipelines.items()]
        # Two a page, so that a client which reads only the first is found out.
        token = re.search(r"page_token=(\d+)", query)
        start = int(token[1]) if token else 0
        page = {"pipelines": items[start : start + 2]}
        return page | ({"next_page_token": str(start + 2)} if len(items) > start + 2 else {})

    def create_pipeline(self, *, query: str, body: bytes) -> Any:
        created = str(uuid.uuid4())
        self.pipelines[created] = json.loads(body)["display_name"]
        return {"pipeline_id": created}

    def pipeline(self, pipeline: str, *, query: str, body: bytes) -> Any:
        name = self.pipelines.get(pipeline)
        return name and {"pipeline_id": pipeline, "display_name": name}

    def delete_pipeline(self, pipeline: str, *, query: str, body: bytes) -> Any:
        if self.pipelines.pop(pipeline, None) is None:
            return None
        self.versions = {i: v for i, v in self.versions.items() if v[0] != pipeline}
        return {}

    def upload(self, *, query: str, body: bytes) -> Any:
        pipeline = re.search(r"pipelineid=([^&]+)", query)
        name = re.search(r"name=([^&]+)", query)
        assert pipeline and name
        content = body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0].decode()
        created = str(uuid.uuid4())
        self.versions[created] = (pipeline[1], name[1], content)
        return {"pipeline_version_id": created}

    def list_versions(self, pipeline: str, *, query: str, body: bytes) -> Any:
        return {
            "pipeline_versions": [
                {"pipeline_version_id": i, "display_name": n}
                for i, (p, n, _) in self.versions.items()
                if p == pipeline
            ]
        }

    def version(self, pipeline: str, version: str, *, query: str, body: bytes) -> Any:
        if self.versions.get(version, ("",))[0] != pipeline:
            return None
        return {"pipeline_spec": {"pipeline_spec": self.spec, "platform_spec": {}}}

    def list_experiments(self, *, query: str, body: bytes) -> Any:
        return {
            "experiments": [
                {"experiment_id": i, "display_name": n} for i, n in self.experiments.items()
            ]
        }

    def create_experiment(self, *, query: str, body: bytes) -> Any:
        created = str(uuid.uuid4())
        self.experiments[created] = json.loads(body)["display_name"]
        return {"experiment_id": created}

    def create_run(self, *, query: str, body: bytes) -> Any:
        created = str(uuid.uuid4())
        request = json.loads(body)
        names = ("display_name", "pipeline_version_reference", "runtime_config")
        known = {"run_id": created, **{name: request.get(name) for name in names}}
        self.runs[created] = [{**known, **answer} for answer in self.script]
        return {"run_id": created}

    def list_runs(self, *, query: str, body: bytes) -> Any:
        return {"runs": [answers[0] for answers in reversed(self.runs.values())]}

    def run(self, run: str, *, query: str, body: bytes) -> Any:
        answers = self.runs.get(run)
        if not answers:
            return None
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def create_schedule(self, *, query: str, body: bytes) -> Any:
        created = str(uuid.uuid4())
        request = json.loads(body)
        self.schedules[created] = {**request, "status": f"{request['mode']}D"}
        return {"recurring_run_id": created}

    def schedule(self, schedule: str, *, query: str, body: bytes) -> Any:
        return self.schedules.get(schedule)

    def switch(self, schedule: str, verb: str, *, query: str, body: bytes) -> Any:
        self.schedules[schedule]["status"] = f"{verb.upper()}D"
        return {}

    def delete_schedule(self, schedule: str, *, query: str, body: bytes) -> Any:
        return {} if self.schedules.pop(schedule, None) else None


_V2 = "/apis/v2beta1"
_ROUTES = (
    (f"GET {_V2}/pipelines", "list_pipelines"),
    (f"POST {_V2}/pipelines", "create_pipeline"),
    (f"POST {_V2}/pipelines/upload_version", "upload"),
    (f"GET {_V2}/pipelines/([^/]+)", "pipeline"),
    (f"DELETE {_V2}/pipelines/([^/]+)", "delete_pipeline"),
    (f"GET {_V2}/pipelines/([^/]+)/versions", "list_versions"),
    (f"GET {_V2}/pipelines/([^/]+)/versions/([^/]+)", "version"),
    (f"GET {_V2}/experiments", "list_experiments"),
    (f"POST {_V2}/experiments", "create_experiment"),
    (f"GET {_V2}/runs", "list_runs"),
    (f"POST {_V2}/runs", "create_run"),
    (f"GET {_V2}/runs/([^/]+)", "run"),
    (f"POST {_V2}/recurringruns", "create_schedule"),
    (f"GET {_V2}/recurringruns/([^/:]+)", "schedule"),
    (f"POST {_V2}/recurringruns/([^/:]+):(enable|disable)", "switch"),
    (f"DELETE {_V2}/recurringruns/([^/:]+)", "delete_schedule"),
)


@contextmanager
def serving() -> Iterator[Kubeflow]:
    """Serve on loopback until the block ends."""
    kubeflow = Kubeflow()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, found = kubeflow.answer(self.command, path, query, body)
            content = found.encode() if isinstance(found, str) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - the base class names them

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kubeflow.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield kubeflow
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
