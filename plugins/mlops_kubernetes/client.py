"""Requests to a Kubernetes API server: plain HTTP and JSON, nothing of Pulumi.

httpx is imported with the first request, so a plugin process that only checks and compares
inputs starts without it.
"""

import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from mlops_kubernetes.kubeconfig import Access, KubeconfigError

if TYPE_CHECKING:
    import httpx

_CONNECT_SECONDS: Final = 5.0
_CONNECTIONS: Final = 64
# A watch ends this long after the last event or bookmark, and is then begun anew.
_WATCH_SECONDS: Final = 60
# After a failed connection, a preview does not try again for this long.
_UNREACHABLE_MEMORY_SECONDS: Final = 20.0
_APPLY: Final = "application/apply-patch+yaml"


class UnreachableError(Exception):
    """The API server cannot be reached."""


class ApiError(Exception):
    """The API server refused a request.

    Attributes:
        code: HTTP status.
        reason: the API's word for it, such as `NotFound`.
        details: what the API says beyond its message.
    """

    def __init__(self, code: int, status: Mapping[str, Any]) -> None:
        super().__init__(str(status.get("message") or f"the API server answered {code}"))
        self.code = code
        self.reason = str(status.get("reason") or "")
        self.details: Mapping[str, Any] = status.get("details") or {}

    @property
    def causes(self) -> list[Mapping[str, Any]]:
        """The single causes, each with `reason`, `message` and `field`."""
        return list(self.details.get("causes") or [])


class Client:
    """One cluster, as one user.

    It is bound to the event loop that uses it first.
    """

    def __init__(self, access: Access, *, request_seconds: float = 30.0) -> None:
        """Remember how to reach the cluster; nothing is sent yet."""
        self.access = access
        self._seconds = request_seconds
        self._http: httpx.AsyncClient | None = None
        self._failed_at: float | None = None
        self._failure = ""

    def fail_fast(self) -> None:
        """Refuse at once when the server could not be reached a moment ago.

        Raises:
            UnreachableError: that is so.
        """
        if self._failed_at is None:
            return
        if time.monotonic() - self._failed_at < _UNREACHABLE_MEMORY_SECONDS:
            raise UnreachableError(self._failure)

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """Return an object or a list.

        Raises:
            ApiError: the server refused.
            UnreachableError: there is no server.
        """
        return (await self._send("GET", path, query))[0]

    async def get_or_none(self, path: str, **query: str) -> dict[str, Any] | None:
        """Return an object, None where it does not exist.

        Raises:
            ApiError: the server refused for another reason.
            UnreachableError: there is no server.
        """
        try:
            return await self.get(path, **query)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def apply(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        manager: str,
        force: bool = False,
        dry_run: bool = False,
    ) -> tuple[dict[str, Any], list[str]]:
        """Apply an object on the server's side.

        Returns:
            The object as it is then, and the server's warnings.

        Raises:
            ApiError: the server refused; 409 with causes for a conflict of field managers.
            UnreachableError: there is no server.
        """
        query = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Warn"}
        return await self._send("PATCH", path, _dry(query, dry_run), body, content_type=_APPLY)

    async def create(
        self, path: str, body: Mapping[str, Any], *, manager: str, dry_run: bool = False
    ) -> tuple[dict[str, Any], list[str]]:
        """Create an object whose name the server makes (`metadata.generateName`).

        Raises:
            ApiError: the server refused.
            UnreachableError: there is no server.
        """
        query = {"fieldManager": manager, "fieldValidation": "Warn"}
        return await self._send("POST", path, _dry(query, dry_run), body)

    async def delete(self, path: str, *, propagation: str) -> None:
        """Begin to delete an object.

        Raises:
            ApiError: the server refused; 404 when there is no such object.
            UnreachableError: there is no server.
        """
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        await self._send("DELETE", path, {}, body)

    async def text(self, path: str, **query: str) -> str:
        """Return an answer that is text, such as a container's log.

        Raises:
            ApiError: the server refused.
            UnreachableError: there is no server.
        """
        response = await self._exchange("GET", path, query, None, "application/json")
        return response.text

    async def watch(self, path: str, **query: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield the events of a collection until the server ends the stream.

        An event is its type (`ADDED`, `MODIFIED`, `DELETED`) and the object.

        Raises:
            ApiError: the server refused, or the resource version is too old (410).
            UnreachableError: the connection broke.
        """
        import httpx  # noqa: PLC0415

        parameters = {**query, "watch": "1", "timeoutSeconds": str(_WATCH_SECONDS)}
        timeout = httpx.Timeout(_CONNECT_SECONDS, read=_WATCH_SECONDS + 15)
        try:
            async with self._client().stream(
                "GET", path, params=parameters, timeout=timeout
            ) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise _error(response)
                async for line in response.aiter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise ApiError(int(status.get("code") or 500), status)
                    yield event["type"], event["object"]
        except httpx.TransportError as error:
            raise UnreachableError(self._say(error)) from error
        except KubeconfigError as error:
            raise UnreachableError(str(error)) from error

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> tuple[dict[str, Any], list[str]]:
        response = await self._exchange(method, path, query, body, content_type)
        answer = response.json()
        if not isinstance(answer, dict):
            raise ApiError(response.status_code, {"message": "the API server sent no object"})
        return answer, _warnings(response.headers.get_list("Warning"))

    async def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        content_type: str,
    ) -> "httpx.Response":
        import httpx  # noqa: PLC0415

        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if content else {}
        try:
            response = await self._client().request(
                method, path, params=query, content=content, headers=headers
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            self._failure = self._say(error)
            self._failed_at = time.monotonic()
            raise UnreachableError(self._failure) from error
        except httpx.TransportError as error:
            raise UnreachableError(self._say(error)) from error
        except KubeconfigError as error:
            raise UnreachableError(str(error)) from error
        self._failed_at = None
        if response.status_code >= 400:
            raise _error(response)
        return response

    def _client(self) -> "httpx.AsyncClient":
        if self._http is None:
            import httpx  # noqa: PLC0415

            from mlops_kubernetes import VERSION  # noqa: PLC0415
            from mlops_kubernetes.credentials import authentication  # noqa: PLC0415

            tls = self.access.ssl_context()
            # A proxy of the environment is meant for the world; the kubeconfig names the cluster's.
            self._http = httpx.AsyncClient(
                base_url=self.access.server,
                verify=tls,
                auth=authentication(self.access, tls),
                timeout=httpx.Timeout(self._seconds, connect=_CONNECT_SECONDS),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=_CONNECTIONS),
                proxy=self.access.proxy,
                trust_env=False,
                headers={
                    "Accept": "application/json",
                    "User-Agent": f"pulumi-resource-kubernetes/{VERSION}",
                },
                **_server_name(self.access, tls),
            )
        return self._http

    def _say(self, error: Exception) -> str:
        return f"no connection to {self.access.server}: {error or type(error).__name__}"


def _server_name(access: Access, tls: ssl.SSLContext) -> dict[str, Any]:
    if not access.server_name:
        return {}
    import httpx  # noqa: PLC0415

    class Named(httpx.AsyncHTTPTransport):
        """Checks the server's certificate against the name in the kubeconfig."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            request.extensions = {**request.extensions, "sni_hostname": access.server_name}
            return await super().handle_async_request(request)

    return {"transport": Named(verify=tls, proxy=access.proxy)}


def _dry(query: dict[str, str], dry_run: bool) -> dict[str, str]:
    return {**query, "dryRun": "All"} if dry_run else query


def _error(response: "httpx.Response") -> ApiError:
    try:
        status = response.json()
    except ValueError:
        status = {"message": response.text[:500]}
    if not isinstance(status, dict) or "message" not in status:
        status = {"message": f"the API server answered {response.status_code}"}
    return ApiError(response.status_code, status)


def _warnings(headers: list[str]) -> list[str]:
    """Return the texts of `Warning: 299 - "text"` headers."""
    found = []
    for header in headers:
        text = header.partition('"')[2].rpartition('"')[0]
        found.append(text.replace('\\"', '"') if text else header)
    return found
