"""Whose a cluster is, asked of a server on loopback that keeps ConfigMaps as an API server does."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from mlops_infra import cluster_claim
from mlops_infra.cluster_claim import Claim, ClusterClaimProvider, ForeignClusterError
from mlops_kubernetes.client import UnreachableError

COLLECTION = "/api/v1/namespaces/kube-system/configmaps"
PATH = f"{COLLECTION}/mlops-stack"


class Server(ThreadingHTTPServer):
    """Keeps objects by path, and notes the writes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, Any] = {
            "/api/v1/namespaces/kube-system": {"kind": "Namespace", "metadata": {"uid": "abc"}}
        }
        self.writes: list[str] = []

    @property
    def kubeconfig(self) -> str:
        cluster = {"server": f"http://127.0.0.1:{self.server_port}"}
        context = {"cluster": "c", "user": "u"}
        return json.dumps(
            {
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {}}],
                "contexts": [{"name": "x", "context": context}],
                "current-context": "x",
            }
        )


class Handler(BaseHTTPRequestHandler):
    server: Server

    def _answer(self, code: int, body: dict[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", **body}).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _failure(self, code: int, reason: str) -> None:
        status = {"kind": "Status", "status": "Failure", "message": reason}
        details = {"name": "mlops-stack", "kind": "configmaps"}
        self._answer(code, {**status, "reason": reason, "code": code, "details": details})

    def _body(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return read

    def do_GET(self) -> None:
        found = self.server.objects.get(self.path.partition("?")[0])
        if found is None:
            self._failure(404, "NotFound")
        else:
            self._answer(200, found)

    def do_POST(self) -> None:
        body = self._body()
        if PATH in self.server.objects:
            self._failure(409, "AlreadyExists")
            return
        self.server.writes.append("POST")
        self.server.objects[PATH] = body
        self._answer(201, body)

    def do_PATCH(self) -> None:
        self.server.writes.append("PATCH")
        self.server.objects[PATH] = self._body()
        self._answer(200, self.server.objects[PATH])

    def do_DELETE(self) -> None:
        self._body()
        self.server.writes.append("DELETE")
        del self.server.objects[PATH]
        self._answer(200, {"kind": "Status", "status": "Success"})

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


def _props(server: Server, stack_id: str) -> dict[str, Any]:
    claim = {"stack": "dev", "backend": "file:///b", "checkout": "/c", "host": "h", "former_id": ""}
    return {"stack_id": stack_id, **claim, "kubeconfig": server.kubeconfig, "context": ""}


def test_the_first_stack_claims_and_every_other_is_refused_before_it_writes(server: Server) -> None:
    assert cluster_claim.read(server.kubeconfig) is None
    ClusterClaimProvider().create(_props(server, "one"))
    ClusterClaimProvider().create(_props(server, "one"))
    assert server.writes == ["POST", "PATCH"]
    for act in (
        lambda: ClusterClaimProvider().create(_props(server, "two")),
        lambda: ClusterClaimProvider().diff("", _props(server, "two"), _props(server, "two")),
    ):
        with pytest.raises(ForeignClusterError, match=r"id one\) of the checkout /c on h"):
            act()
    ClusterClaimProvider().delete("", _props(server, "two"))
    assert server.writes == ["POST", "PATCH"]


def test_a_takeover_changes_hands(server: Server) -> None:
    ClusterClaimProvider().create(_props(server, "one"))
    claim = Claim(
        stack_id="two", stack="dev", backend="b", checkout="/d", host="h", former_id="one"
    )
    cluster_claim.write(server.kubeconfig, claim, takeover=True)
    assert cluster_claim.read(server.kubeconfig) == claim
    with pytest.raises(ForeignClusterError):
        ClusterClaimProvider().diff("", _props(server, "one"), _props(server, "one"))


def test_a_claim_that_was_deleted_is_written_again_and_goes_with_the_stack(server: Server) -> None:
    props = _props(server, "one")
    ClusterClaimProvider().create(props)
    assert ClusterClaimProvider().diff("", props, props).changes is False
    del server.objects[PATH]
    assert ClusterClaimProvider().diff("", props, props).changes is True
    ClusterClaimProvider().update("", props, props)
    ClusterClaimProvider().delete("", props)
    assert PATH not in server.objects


def test_a_cluster_that_does_not_answer_stops_no_preview(server: Server) -> None:
    gone = server.kubeconfig.replace(str(server.server_port), "9")
    props = {**_props(server, "one"), "kubeconfig": gone}
    assert ClusterClaimProvider().diff("", props, props).changes is False
    with pytest.raises(UnreachableError):
        ClusterClaimProvider().create(props)


def test_a_cluster_is_known_by_its_system_namespace(server: Server) -> None:
    assert cluster_claim.identity(server.kubeconfig) == "abc"
