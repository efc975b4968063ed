"""Requests to a Kubernetes API server: plain HTTP and JSON, nothing of Pulumi.

httpx is imported with the first request, so a plugin process that only checks and compares
inputs starts without it.
"""

import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

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
_GROUPS: Final = "/apis"
_EXCERPT: Final = 200


class UnreachableError(Exception):
    """The API server cannot be reached."""


class NotKubernetesError(UnreachableError):
    """Something answers at the address, but not as a Kubernetes API server does.

    A proxy, a login page or another program has its own reasons to answer 404, so nothing that it
    says tells whether an object exists.

    Attributes:
        code: HTTP status.
    """

    def __init__(self, server: str, code: int, what: str) -> None:
        super().__init__(
            f"no Kubernetes API server answers at {server}: {what}; check the kubeconfig's server "
            "and proxy, and what listens there"
        )
        self.code = code


class ApiError(Exception):
    """The API server refused a request.

    Attributes:
        code: HTTP status.
        reason: the API's word for it, such as `NotFound`.
        details: what the API says beyond its message.
    """

    def __init__(self, code: int, status: Mapping[str, Any]) -> None:
        message = str(status.get("message") or f"the API server answered {code}")
        if code == 401:
            message += ": the API server does not accept the kubeconfig's credentials"
        super().__init__(message)
        self.code = code
        self.reason = str(status.get("reason") or "")
        self.details: Mapping[str, Any] = status.get("details") or {}

    @property
    def says_not_found(self) -> bool:
        """Whether the API server says that the object of the request does not exist."""
        return self.code == 404 and self.reason == "NotFound"

    @property
    def causes(self) -> list[Mapping[str, Any]]:
        """The single causes, each with `reason`, `message` and `field`."""
        return list(self.details.get("causes") or [])


class NotServedError(ApiError):
    """The API server has nothing at a path: it does not serve the kind, or not in that version."""

    def __init__(self, path: str) -> None:
        super().__init__(404, {"message": f"the API server serves nothing at {path}"})


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
        """Return an object, None where the API server says that it does not exist.

        Raises:
            ApiError: the server refused for another reason.
            NotServedError: the server does not know the kind, so it knows nothing of the object.
            UnreachableError: there is no server.
        """
        try:
            return await self.get(path, **query)
        except ApiError as error:
            if error.says_not_found:
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
        if "html" in response.headers.get("Content-Type", ""):
            raise NotKubernetesError(self.access.server, response.status_code, _describe(response))
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
                if response.status_code != httpx.codes.OK:
                    await response.aread()
                    raise await self._error(response)
                async for line in response.aiter_lines():
                    try:
                        event = json.loads(line)
                        kind, value = event["type"], event["object"]
                    except (ValueError, KeyError, TypeError):
                        raise self._foreign(response, "the watch sent no event") from None
                    if kind == "ERROR":
                        raise ApiError(int(value.get("code") or 500), value)
                    yield kind, value
        except httpx.RequestError as error:
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
        answer = _typed(response)
        if answer is None:
            raise self._foreign(response)
        return answer, _warnings(response.headers.get_list("Warning"))

    async def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        content_type: str,
    ) -> "httpx.Response":
        response = await self._request(method, path, query, body, content_type)
        if not response.is_success:
            raise await self._error(response)
        return response

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
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
        except httpx.RequestError as error:
            raise UnreachableError(self._say(error)) from error
        except KubeconfigError as error:
            raise UnreachableError(str(error)) from error
        self._failed_at = None
        return response

    async def _error(self, response: "httpx.Response") -> Exception:
        """Return the exception for an answer that is no success.

        The API server answers with a `Status`, but for paths that it does not know, and where it
        hands on what an aggregated API or a kubelet said. So an answer of another form is the API
        server's when the server can show that it is one.
        """
        status = _typed(response)
        path = response.request.url.path
        if status is not None and status["kind"] == "Status":
            error = ApiError(response.status_code, status)
            # In a group of Kubernetes' own, an unknown version is a `Status` too. It names no
            # object, as a missing object's does.
            unnamed = error.says_not_found and not error.details.get("name")
            return NotServedError(path) if unnamed else error
        if not await self._is_kubernetes():
            return self._foreign(response)
        if response.status_code == 404:
            return NotServedError(path)
        return ApiError(response.status_code, {"message": f"{path}: {_describe(response)}"})

    async def _is_kubernetes(self) -> bool:
        answer = _typed(await self._request("GET", _GROUPS, {}))
        return answer is not None and answer["kind"] in ("APIGroupList", "Status")

    def _foreign(self, response: "httpx.Response", what: str = "") -> NotKubernetesError:
        said = what or _describe(response)
        return NotKubernetesError(self.access.server, response.status_code, said)

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


def _typed(response: "httpx.Response") -> dict[str, Any] | None:
    """Return an answer that states its kind, as all of Kubernetes' do; None for any other."""
    try:
        answer = response.json()
    except ValueError:
        return None
    if not isinstance(answer, dict):
        return None
    return answer if isinstance(answer.get("kind"), str) else None


def _describe(response: "httpx.Response") -> str:
    """Return what somebody else than an API server answered, in one line."""
    code, location = response.status_code, response.headers.get("Location")
    if location:
        # Only the host: the rest of a login page's address may hold a token.
        return f"{code}, a redirect to {urlsplit(location).netloc or 'another path'}"
    content = response.headers.get("Content-Type", "").partition(";")[0] or "no content type"
    text = " ".join(response.text.split())
    if not text or "html" in content:
        return f"{code} with {content}"
    return f"{code} with {content}: {text[:_EXCERPT]}"


def _warnings(headers: list[str]) -> list[str]:
    """Return the texts of `Warning: 299 - "text"` headers."""
    found = []
    for header in headers:
        text = header.partition('"')[2].rpartition('"')[0]
        found.append(text.replace('\\"', '"') if text else header)
    return found
