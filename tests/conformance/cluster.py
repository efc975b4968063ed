"""The cluster as somebody beside the plugin sees and changes it."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from mlops_kubernetes import kubeconfig as kubeconfigs


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster that tests may fill and empty."""

    kubeconfig: Path
    http: httpx.Client

    def get(self, path: str) -> dict[str, Any] | None:
        answer = self.http.get(path)
        return None if answer.status_code == 404 else _object(answer)

    def must_get(self, path: str) -> dict[str, Any]:
        found = self.get(path)
        assert found is not None, f"{path} does not exist"
        return found

    def items(self, path: str) -> list[dict[str, Any]]:
        answer = self.http.get(path)
        if answer.status_code >= 400:
            return []
        return list(_object(answer).get("items") or [])

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return _object(self.http.post(path, params={"fieldManager": "somebody"}, json=body))

    def merge(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        answer = self.http.patch(
            path,
            params={"fieldManager": "somebody"},
            json=body,
            headers={"Content-Type": "application/merge-patch+json"},
        )
        return None if answer.status_code in (404, 409) else _object(answer)

    def apply(
        self, path: str, body: dict[str, Any], *, manager: str = "somebody"
    ) -> dict[str, Any]:
        return _object(
            self.http.patch(
                path,
                params={"fieldManager": manager, "force": "true"},
                json=body,
                headers={"Content-Type": "application/apply-patch+yaml"},
            )
        )

    def delete(self, path: str) -> None:
        self.http.request("DELETE", path)

    def managers(self, path: str) -> set[str]:
        found = self.must_get(path)["metadata"].get("managedFields") or []
        return {entry["manager"] for entry in found}

    def namespace(self) -> str:
        """Return a new namespace that has its default service account."""
        name = f"conformance-{secrets.token_hex(4)}"
        self.create("/api/v1/namespaces", {"metadata": {"name": name}})
        return name


def connect(kubeconfig: Path) -> Cluster:
    """Return a cluster, seen as the kubeconfig's user."""
    access = kubeconfigs.load(str(kubeconfig))
    headers = {"Authorization": f"Bearer {token}"} if (token := access.user.get("token")) else {}
    http = httpx.Client(
        base_url=access.server, verify=access.ssl_context(), headers=headers, trust_env=False
    )
    return Cluster(kubeconfig=kubeconfig, http=http)


def _object(answer: httpx.Response) -> dict[str, Any]:
    body = answer.json()
    assert answer.status_code < 400, body
    assert isinstance(body, dict)
    return body
