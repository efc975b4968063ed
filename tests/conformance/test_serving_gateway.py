"""The serving gateway's configuration, read by nginx itself on loopback."""

import http.server
import json
import os
import pwd
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import urllib3

from mlops_rollout import gateway_configuration
from mlops_rollout.gateway_configuration import Backend, Route
from mlops_stack.rehearsal.ports import free_port
from mlops_toolchain import layout
from tests.conformance.tools import find

KSERVE, SELDON = "/kserve/serving/flight-delay", "/seldon/seldon/flight-delay"


@dataclass
class Model:
    """A model's server, which notes what it is asked."""

    port: int
    asked: list[str] = field(default_factory=list)
    status: int = 200
    seconds: float = 0


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """nginx in front of a model."""

    url: str
    folder: Path
    model: Model

    def ask(self, path: str, *, body: bytes | None = b"{}") -> tuple[int, Any]:
        # urllib3 would write the path in its own way; this sends what it is given.
        host, _, port = self.url.removeprefix("http://").partition(":")
        connection = urllib3.connection.HTTPConnection(host, int(port), timeout=30)
        connection.request("POST" if body is not None else "GET", path, body=body)
        answer = connection.getresponse()
        found = answer.status, json.loads(answer.data)
        connection.close()
        return found


def _nginx(folder: Path) -> list[str]:
    """Return the words that start nginx: the machine's, or the toolchain's with its libraries."""
    if found := find("nginx"):
        return [str(found)]
    archives = sorted(layout.cache().glob("artefacts/nginx-root/*/root.tar"))
    if not archives:
        pytest.skip("no nginx; run `make toolchain`")
    with tarfile.open(archives[-1]) as archive:
        archive.extractall(folder, filter="tar")
    libraries = ":".join(str(folder / each) for each in ("usr/lib/x86_64-linux-gnu", "lib"))
    (loader,) = folder.glob("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
    return [str(loader), "--library-path", libraries, str(folder / "usr/sbin/nginx")]


@pytest.fixture(scope="module", name="model")
def a_model() -> Iterator[Model]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            time.sleep(made.seconds)
            self.send_response(made.status)
            text = json.dumps({"model": "says"}).encode()
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815 - the name that the base class looks for

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Say nothing of a gateway that waited no longer."""

    server = Server(("127.0.0.1", 0), Handler)
    made = Model(port=server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()


@pytest.fixture(scope="module", name="started")
def a_gateway(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Gateway]:
    folder, port = tmp_path_factory.mktemp("gateway"), free_port()
    (folder / "tmp").mkdir()
    routes = [
        Route(engine=engine, namespace=namespace, name=name, backends=backends)
        for engine, namespace in (("kserve", "serving"), ("seldon", "seldon"))
        for name, backends in (
            ("flight-delay", (Backend(host=f"127.0.0.1:{model.port}", weight=100),)),
            ("gone", (Backend(host=f"127.0.0.1:{free_port()}", weight=100),)),
        )
    ]

    def here(text: str) -> str:
        # First the container's own folder: this machine's may be below one of that name.
        changes = {
            "/tmp/": f"{folder}/tmp/",  # noqa: S108 - the container's own
            gateway_configuration.ROUTES_FOLDER: str(folder),
            "RESOLVER": "127.0.0.1",
            f"listen {gateway_configuration.PORT}": f"listen 127.0.0.1:{port}",
            f"proxy_read_timeout {gateway_configuration.LONGEST_SECONDS}s": "proxy_read_timeout 1s",
        }
        for old, new in changes.items():
            text = text.replace(old, new)
        return text

    files = {"nginx.conf": gateway_configuration.BASE} | gateway_configuration.render(routes)
    for name, text in files.items():
        (folder / name).write_text(here(text))
    command = [*_nginx(folder / "root"), "-c", str(folder / "nginx.conf"), "-e", "/dev/stderr"]
    # Started by root, nginx's workers would be another user, who may not read the tests' folders.
    user = f"user {pwd.getpwuid(os.getuid()).pw_name};" if os.geteuid() == 0 else ""
    with subprocess.Popen([*command, "-g", f"daemon off; {user}"]) as process:
        made = Gateway(url=f"http://127.0.0.1:{port}", folder=folder / "tmp", model=model)
        for _ in range(100):
            try:
                urllib3.request("GET", f"{made.url}/healthz", retries=False)
                break
            except urllib3.exceptions.HTTPError:
                time.sleep(0.1)
        yield made
        process.terminate()


@pytest.fixture
def gateway(started: Gateway) -> Iterator[Gateway]:
    model = started.model
    model.asked.clear()
    model.status, model.seconds = 200, 0
    yield started


@pytest.mark.parametrize(
    "path",
    [
        *(f"{KSERVE}/v2", f"{KSERVE}/v2/health/live", f"{KSERVE}/v2/health/ready"),
        *(f"{KSERVE}/v2/models/flight-delay{rest}" for rest in ("", "/ready", "/infer")),
        f"{KSERVE}/v2/models/flight-delay/versions/3/infer?a=b%20c",
        *(f"{SELDON}/api/v{version}/predictions" for version in ("0.1", "1.0")),
        *(f"{SELDON}/{rest}" for rest in ("health/ping", "health/status", "metadata")),
    ],
)
def test_predictions_metadata_and_health_are_passed_as_they_are(
    gateway: Gateway, path: str
) -> None:
    assert gateway.ask(path) == (200, {"model": "says"})
    assert gateway.model.asked == [path.removeprefix(KSERVE).removeprefix(SELDON)]


@pytest.mark.parametrize(
    "rest",
    [
        *(f"v2/repository/models/flight-delay/{what}" for what in ("load", "unload")),
        *("v2/repository/index", "metrics", "", "v2/", "v3", "docs", "v2/models"),
        "v2/models/a/../../repository/index",
        "v2/models/a%2F..%2F..%2Frepository%2Findex",
        *("v2/models/a%3Fb/infer", "v2/models/a%20b", "v2/models/a%0d%0aX:1/infer", "api/v1.0/x"),
        *("v2/models/a/infer/more", "v2%3F", "v2/models/a/versions/1/unload", "v2/models/%7Bx"),
    ],
)
@pytest.mark.parametrize("engine", [KSERVE, SELDON])
def test_nothing_else_is_passed(gateway: Gateway, engine: str, rest: str) -> None:
    status, body = gateway.ask(f"{engine}/{rest}")
    assert status == 404
    assert "passes predictions, metadata and health" in _reason(engine, body)
    assert not gateway.model.asked


def _reason(path: str, body: Any) -> str:
    if not path.startswith("/seldon"):
        assert set(body) == {"error"}
        return str(body["error"])
    assert body["status"]["status"] == "FAILURE"
    return str(body["status"]["info"])


REQUESTS = [f"{KSERVE}/v2/models/flight-delay/infer", f"{SELDON}/api/v1.0/predictions"]


@pytest.mark.parametrize("path", REQUESTS)
def test_a_request_that_is_too_large_is_told_the_limit(gateway: Gateway, path: str) -> None:
    most = gateway_configuration.LARGEST_MEBIBYTES << 20
    assert gateway.ask(path, body=b" " * most)[0] == 200
    status, body = gateway.ask(path, body=b" " * (most + 1))
    assert status == 413
    assert "larger than 8 MiB" in _reason(path, body)


@pytest.mark.parametrize("path", REQUESTS)
def test_a_model_that_is_gone_or_slow_is_said_in_its_protocol(gateway: Gateway, path: str) -> None:
    status, body = gateway.ask(path.replace("/flight-delay/", "/gone/", 1))
    assert status == 502
    assert "no server of the model answers" in _reason(path, body)
    gateway.model.seconds = 1.5
    status, body = gateway.ask(path)
    assert status == 504
    assert "has not answered within 30 s" in _reason(path, body)


@pytest.mark.parametrize("path", REQUESTS)
def test_what_a_model_refuses_itself_is_passed(gateway: Gateway, path: str) -> None:
    gateway.model.status = 400
    assert gateway.ask(path) == (400, {"model": "says"})


def test_an_address_of_no_model_is_refused_in_json(gateway: Gateway) -> None:
    for path in ("/", "/kserve/serving/other/v2", "/draining/kserve/serving/flight-delay/v2"):
        status, body = gateway.ask(path)
        assert status == 404
        assert body["error"]


@pytest.mark.parametrize("path", [*REQUESTS, f"{KSERVE}/v2/repository/index"])
def test_a_gateway_that_ends_keeps_no_connection(gateway: Gateway, path: str) -> None:
    draining = gateway.folder / Path(gateway_configuration.DRAINING).name
    draining.touch()
    try:
        answer = urllib3.request("POST", f"{gateway.url}{path}", body=b"{}", retries=False)
    finally:
        draining.unlink()
    assert answer.headers["Connection"] == "close"
