"""What does not come from a Kubernetes API server says nothing about objects."""

import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mlops_kubernetes import watching
from mlops_kubernetes.applying import OperationError
from mlops_kubernetes.cancellation import Cancellation
from mlops_kubernetes.client import Client, NotKubernetesError, NotServedError, UnreachableError
from mlops_kubernetes.cluster import Cluster
from mlops_kubernetes.engine import Engine, ResourceLog
from mlops_kubernetes.kinds import of_object
from mlops_kubernetes.kubeconfig import Access
from mlops_kubernetes.operations import Operations
from mlops_kubernetes.settings import parse
from mlops_kubernetes.values import Properties

CONFIG_MAP: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "conf", "namespace": "here"},
}
LIVE = {**CONFIG_MAP, "metadata": {**CONFIG_MAP["metadata"], "uid": "1", "resourceVersion": "1"}}
GROUPS = {"kind": "APIGroupList", "apiVersion": "v1", "groups": []}
NOT_FOUND = {
    "kind": "Status",
    "apiVersion": "v1",
    "reason": "NotFound",
    "code": 404,
    "details": {"name": "conf", "kind": "configmaps"},
}
# What the API server says of a version that one of Kubernetes' own groups does not have.
NO_SUCH_VERSION = {**NOT_FOUND, "details": {"causes": [{"reason": "UnexpectedServerResponse"}]}}
TEXT, JSON, HTML = "text/plain", "application/json", "text/html"


@dataclass
class Answer:
    """What a server says: status, content type, body and headers."""

    code: int
    content: str
    body: str
    headers: dict[str, str] = field(default_factory=dict)


def said(value: dict[str, Any], code: int = 200) -> Answer:
    return Answer(code, JSON, json.dumps(value))


def plain_404(path: str) -> Answer:
    """Answer as an API server does for a path that it does not know."""
    return said(GROUPS) if path == "/apis" else Answer(404, TEXT, "404 page not found\n")


Answers = Callable[[str], Answer]
FOREIGN = {
    "web server's 404": Answer(404, HTML, "<h1>Error response</h1><p>File not found"),
    "404 in JSON": Answer(404, JSON, '{"message": "no such route", "reason": "NotFound"}'),
    "empty 404": Answer(404, TEXT, ""),
    "401 of a proxy": Answer(401, HTML, "<form>sign in</form>"),
    "403 of a proxy": Answer(403, TEXT, "blocked by policy"),
    "redirect": Answer(302, TEXT, "", {"Location": "https://login.invalid/?token=hidden"}),
    "login page": Answer(200, HTML, "<form>sign in</form>"),
    "200 in JSON": Answer(200, JSON, '{"metadata": {"name": "conf"}}'),
    "list in JSON": Answer(200, JSON, "[]"),
    "500 of a proxy": Answer(500, TEXT, "upstream broke"),
}


@contextmanager
def server(answers: Answers) -> Iterator[str]:
    """Serve on loopback; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = answers(self.path.partition("?")[0])
            self.send_response(answer.code)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", answer.content)
            self.send_header("Content-Length", str(len(answer.body.encode())))
            self.end_headers()
            self.wfile.write(answer.body.encode())

        do_GET = do_PATCH = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def operations(address: str, **settings: Any) -> Operations:
    kubeconfig = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it"}}],
        "clusters": [{"name": "it", "cluster": {"server": address}}],
    }
    parsed = parse({"kubeconfig": json.dumps(kubeconfig), **settings})
    return Operations(
        cluster=Cluster(parsed, Cancellation()),
        urn="urn:pulumi:s::p::kubernetes:core/v1:ConfigMap::conf",
        patch=False,
        log=ResourceLog(Engine(""), "urn"),
    )


INPUTS, STATE = Properties(value=CONFIG_MAP), Properties(value=LIVE)
Work = Callable[[Operations], Awaitable[Any]]
WORK: dict[str, Work] = {
    "read": lambda it: it.read("here/conf", of_object(CONFIG_MAP), STATE, INPUTS),
    "delete": lambda it: it.delete("here/conf", STATE, INPUTS, 5),
    "create": lambda it: it.create(INPUTS, 5),
    "update": lambda it: it.update("here/conf", STATE, INPUTS, [], 5),
    "preview of a creation": lambda it: it.preview_create(INPUTS),
    "preview of an update": lambda it: it.preview_update("here/conf", STATE, INPUTS, []),
}


@pytest.mark.parametrize("answer", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
async def test_an_answer_of_something_else_is_an_error(work: Work, answer: Answer) -> None:
    with server(lambda _: answer) as address:
        it = operations(address)
        with pytest.raises(UnreachableError) as failed:
            await work(it)
        await it.cluster.close()
    assert f"no Kubernetes API server answers at {address}: {answer.code}" in str(failed.value)
    assert "hidden" not in str(failed.value), "a login page's address may hold a token"


@pytest.mark.parametrize("name", ["read", "delete"])
async def test_nobody_at_the_address_is_an_error(name: str) -> None:
    with server(plain_404) as address:
        pass
    with pytest.raises(UnreachableError, match="no connection"):
        await WORK[name](operations(address))


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("name", ["read", "delete"])
async def test_a_refusal_is_an_error_with_the_servers_reason(name: str, code: int) -> None:
    status = {**NOT_FOUND, "code": code, "reason": "Refused", "message": "not for you"}
    with server(lambda _: said(status, code)) as address:
        it = operations(address)
        with pytest.raises(OperationError, match="not for you"):
            await WORK[name](it)
        await it.cluster.close()


@pytest.mark.parametrize("name", ["read", "delete"])
async def test_only_the_api_servers_own_word_means_gone(name: str) -> None:
    with server(lambda _: said(NOT_FOUND, 404)) as address:
        it = operations(address)
        found = await WORK[name](it)
        await it.cluster.close()
    assert found is None or not found.identity


async def test_an_aggregated_api_that_is_down_is_an_answer_of_the_api_server() -> None:
    def answers(path: str) -> Answer:
        return said(GROUPS) if path == "/apis" else Answer(503, TEXT, "service unavailable")

    with server(answers) as address:
        # Not even a user's word that the cluster is gone makes such an object gone.
        it = operations(address, deleteUnreachable=True)
        with pytest.raises(OperationError, match="503 with text/plain: service unavailable"):
            await WORK["read"](it)
        await it.cluster.close()


async def test_a_path_that_the_api_server_does_not_know_is_no_missing_object() -> None:
    for answers in (plain_404, lambda _: said(NO_SUCH_VERSION, 404)):
        with server(answers) as address:
            client = Client(Access(server=address))
            with pytest.raises(NotServedError, match="serves nothing at /api/v1/things"):
                await client.get_or_none("/api/v1/things")
            await client.close()


async def test_a_watch_of_something_else_is_an_error() -> None:
    for answer in (FOREIGN["login page"], FOREIGN["redirect"], FOREIGN["web server's 404"]):
        with server(lambda _, said=answer: said) as address:  # type: ignore[misc]
            client = Client(Access(server=address))
            with pytest.raises(NotKubernetesError):
                async for _ in client.watch("/api/v1/configmaps"):
                    pass
            await client.close()


async def test_a_deletion_does_not_end_with_an_answer_of_something_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "_SILENCE_SECONDS", 0.5)
    asked = 0

    def answers(_: str) -> Answer:
        nonlocal asked
        asked += 1
        # The object is there and its deletion begins; then a web server takes the address.
        return said(LIVE) if asked <= 2 else FOREIGN["web server's 404"]

    with server(answers) as address:
        it = operations(address)
        with pytest.raises(UnreachableError, match="404 with text/html"):
            await WORK["delete"](it)
        await it.cluster.close()


async def test_watches_that_end_at_once_are_not_repeated_without_pause() -> None:
    watches = 0

    def answers(path: str) -> Answer:
        nonlocal watches
        if path.endswith("/configmaps"):
            watches += 1
            return Answer(200, JSON, "")
        return said(LIVE)

    with server(answers) as address:
        it = operations(address)
        with pytest.raises(OperationError, match="still there after 2 s"):
            await it.delete("here/conf", STATE, INPUTS, 2)
        await it.cluster.close()
    assert 1 <= watches <= 3
