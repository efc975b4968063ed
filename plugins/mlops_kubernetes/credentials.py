"""Credentials of a kubeconfig's user entry, added to each request.

Client certificates are not here: they belong to the TLS context (`kubeconfig.Access`).
"""

import asyncio
import datetime as dt
import json
import os
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import httpx

from mlops_kubernetes.kubeconfig import Access, KubeconfigError, load_client_certificate

_EXEC_VERSIONS: Final = (
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
)
_EXEC_SECONDS: Final = 60
# A token is renewed this long before it ends.
_MARGIN: Final = dt.timedelta(seconds=30)


class TokenFile(httpx.Auth):
    """A bearer token in a file that somebody else renews."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the token that the file holds now."""
        request.headers["Authorization"] = f"Bearer {self._path.read_text().strip()}"
        yield request


class Token(httpx.Auth):
    """A fixed bearer token."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the token."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class ExecCredential(httpx.Auth):
    """Credentials from a command (`users[].user.exec`), asked for again when they end."""

    def __init__(self, spec: dict[str, Any], access: Access, tls: ssl.SSLContext) -> None:
        version = spec.get("apiVersion")
        if version not in _EXEC_VERSIONS:
            raise KubeconfigError(
                f"the kubeconfig's exec credentials have apiVersion {version!r}; "
                f"supported are {', '.join(_EXEC_VERSIONS)}"
            )
        self._spec = spec
        self._access = access
        self._tls = tls
        self._token: str | None = None
        self._expires: dt.datetime | None = None
        self._fetched = False
        self._lock = asyncio.Lock()

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the command's token; ask the command once more if the server refuses it."""
        await self._ensure(refused=None)
        sent = self._token
        self._sign(request)
        response = yield request
        if response.status_code == 401:
            await self._ensure(refused=sent)
            self._sign(request)
            yield request

    def _sign(self, request: httpx.Request) -> None:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"

    async def _ensure(self, refused: str | None) -> None:
        async with self._lock:
            ended = self._expires is not None and dt.datetime.now(dt.UTC) > self._expires - _MARGIN
            if not self._fetched or ended or (refused is not None and refused == self._token):
                await self._fetch()

    async def _fetch(self) -> None:
        command = [str(self._spec.get("command")), *map(str, self._spec.get("args") or [])]
        if os.sep in command[0] and not Path(command[0]).is_absolute():
            command[0] = str(self._access.folder / command[0])
        info: dict[str, Any] = {
            "apiVersion": self._spec["apiVersion"],
            "kind": "ExecCredential",
            "spec": {"interactive": False},
        }
        if self._spec.get("provideClusterInfo"):
            info["spec"]["cluster"] = {"server": self._access.server}
        variables = {e["name"]: e["value"] for e in self._spec.get("env") or []}
        environment = {**os.environ, **variables, "KUBERNETES_EXEC_INFO": json.dumps(info)}
        hint = self._spec.get("installHint") or "install it, or use another context"
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise KubeconfigError(
                f"the kubeconfig's credentials command {command[0]!r} cannot be run: "
                f"{error.strerror}; {hint}"
            ) from error
        try:
            output, complaint = await asyncio.wait_for(process.communicate(), _EXEC_SECONDS)
        except TimeoutError:
            process.kill()
            raise KubeconfigError(
                f"the kubeconfig's credentials command {command[0]!r} gave no answer in "
                f"{_EXEC_SECONDS} s; run it by hand to see what it waits for"
            ) from None
        if process.returncode:
            raise KubeconfigError(
                f"the kubeconfig's credentials command {command[0]!r} failed with code "
                f"{process.returncode}: {complaint.decode(errors='replace').strip()[-500:]}"
            )
        self._take(command[0], output)

    def _take(self, command: str, output: bytes) -> None:
        try:
            status = json.loads(output)["status"]
            expires = status.get("expirationTimestamp")
            self._expires = dt.datetime.fromisoformat(expires) if expires else None
        except (ValueError, KeyError, TypeError):
            # Whatever it printed may hold a credential.
            raise KubeconfigError(
                f"the kubeconfig's credentials command {command!r} printed no ExecCredential; "
                "run it by hand to see what it prints"
            ) from None
        self._token = status.get("token")
        certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
        if certificate and key:
            load_client_certificate(self._tls, certificate, key)
        self._fetched = True


def authentication(access: Access, tls: ssl.SSLContext) -> httpx.Auth | None:
    """Return what adds a user's credentials to requests; None where there are none to add.

    Raises:
        KubeconfigError: the user has credentials of a kind that is not supported.
    """
    user = access.user
    if path := user.get("tokenFile"):
        return TokenFile(access.folder / path)
    if token := user.get("token"):
        return Token(token)
    if spec := user.get("exec"):
        return ExecCredential(spec, access, tls)
    if user.get("username") and user.get("password"):
        return httpx.BasicAuth(user["username"], user["password"])
    if provider := user.get("auth-provider"):
        raise KubeconfigError(
            f"the kubeconfig's auth-provider {provider.get('name')!r} is no longer supported by "
            "Kubernetes clients; use an exec credentials command"
        )
    return None
