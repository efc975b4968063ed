"""A very small client of the cluster's API: it answers whether the node is well.

kubectl would do, but starting it for every question costs the two cores that the control plane
needs to come up.
"""

import base64
import datetime
import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

from mlops_kubernetes.memory_file import memory_file


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Status and body of a response; status 0 means that nothing answered."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class ApiClient:
    """Speaks to the API server with the credentials of a kubeconfig."""

    def __init__(self, kubeconfig: str, *, timeout: float = 5) -> None:
        document = yaml.safe_load(kubeconfig)
        cluster = document["clusters"][0]["cluster"]
        user = document["users"][0]["user"]
        self.url: str = cluster["server"]
        self._timeout = timeout
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        # The standard library reads certificates from files only
        parts = ("client-certificate-data", "client-key-data")
        with memory_file(b"".join(base64.b64decode(user[part]) for part in parts)) as pair:
            self._tls.load_cert_chain(pair)

    def get(self, path: str, *, url: str = "") -> Answer:
        """GET; an API server that doesn't answer is an answer with status 0, not an error.

        `url` is another address of the same API server.
        """
        address = urlsplit(url or self.url)
        connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=self._timeout, context=self._tls
        )
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return Answer(status=response.status, body=response.read())
        except (OSError, http.client.HTTPException) as error:
            return Answer(status=0, body=str(error).encode())
        finally:
            connection.close()

    def ready(self) -> bool:
        """Whether the API server says it is ready to serve."""
        return self.get("/readyz").status == http.HTTPStatus.OK

    def service_problem(self, url: str) -> str | None:
        """Why the API server is not reached by its Service, that is through kube-proxy, or None."""
        answer = self.get("/readyz", url=url)
        if answer.status:
            return None
        return (
            f"no Service is reached: kube-proxy does not lead to the API server's, {url} "
            f"({answer.body.decode()})"
        )

    def accepts_pods(self) -> bool:
        """Whether a first pod would be accepted: it is refused without a service account."""
        path = "/api/v1/namespaces/default/serviceaccounts/default"
        return self.get(path).status == http.HTTPStatus.OK

    def node_problem(self, node: str, *, since: float = 0) -> str | None:
        """Why the node is not Ready, or None when it is.

        What the kubelet last said before `since` (seconds of the epoch) does not count: the API
        server believes a node that has just died for another 40 s.
        """
        answer = self.get(f"/api/v1/nodes/{node}")
        if answer.status != http.HTTPStatus.OK:
            return f"the API server does not know node {node} (status {answer.status})"
        for condition in answer.json()["status"].get("conditions", []):
            if condition["type"] == "Ready":
                beat = datetime.datetime.fromisoformat(condition["lastHeartbeatTime"])
                if beat.timestamp() < int(since):
                    return f"node {node} has not reported since it was started"
                if condition["status"] == "True":
                    return None
                return f"node {node} is not ready: {condition.get('message', 'no reason given')}"
        return f"node {node} has not reported yet"
