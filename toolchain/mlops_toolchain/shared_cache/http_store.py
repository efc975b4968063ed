"""A shared cache behind an ordinary web server, for reading."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import httpx

from mlops_toolchain.errors import ToolchainError
from mlops_toolchain.shared_cache.store import (
    CONNECT_SECONDS,
    READ_SECONDS,
    ForbiddenError,
    NotThereError,
    StoreError,
    TransferError,
)

_GONE = (httpx.codes.NOT_FOUND, httpx.codes.GONE)


class HttpStore:
    """What a web server has below an address; implements `store.Store`.

    The address may have a user and password.
    """

    def __init__(self, address: str) -> None:
        try:
            given = httpx.URL(address)
        except httpx.InvalidURL:
            # Its message would show the address.
            raise ToolchainError("MLOPS_SHARED_CACHE is no URL that can be read") from None
        if not given.host:
            raise ToolchainError("MLOPS_SHARED_CACHE names no host")
        if given.query or given.fragment:
            # Proxies and servers write it into their logs.
            raise ToolchainError(
                "MLOPS_SHARED_CACHE has a query: a server's password goes before its name, as in "
                "https://user:password@host/path"
            )
        # The client writes addresses into the log of whoever asks for one.
        self._url = given.copy_with(userinfo=b"", path=given.path.rstrip("/"))
        self.shown = str(self._url).rstrip("/")
        self._client = httpx.Client(
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            auth=(given.username, given.password) if given.userinfo else None,
            follow_redirects=True,
            # The digest is the archive's: nothing is to unpack it on the way.
            headers={"Accept-Encoding": "identity"},
        )

    @contextmanager
    def read(self, path: str) -> Iterator[BinaryIO]:
        """Get an object."""
        with self._answer("GET", path) as answer:
            yield cast(BinaryIO, _Body(answer, self.shown))

    def size(self, path: str) -> int | None:
        """Ask for an object's size."""
        try:
            with self._answer("HEAD", path) as answer:
                return int(answer.headers.get("content-length", -1))
        except NotThereError:
            return None

    def write(self, path: str, content: BinaryIO) -> None:
        """Refuse."""
        raise StoreError(
            f"{self.shown} is for reading: push to the folder or s3:// address that it serves"
        )

    @contextmanager
    def _answer(self, method: str, path: str) -> Iterator[httpx.Response]:
        url = self._url.copy_with(path=f"{self._url.path.rstrip('/')}/{path}")
        try:
            with self._client.stream(method, url) as answer:
                if url.scheme == "https" and answer.url.scheme != "https":
                    raise StoreError(f"{self.shown} leads to an address without TLS")
                if answer.status_code in _GONE:
                    raise NotThereError(f"{self.shown} has no such object")
                if not answer.is_success:
                    forbidden = answer.status_code == httpx.codes.FORBIDDEN
                    raise (ForbiddenError if forbidden else StoreError)(
                        f"{self.shown} answers {answer.status_code} {answer.reason_phrase}"
                    )
                yield answer
        except httpx.HTTPError as error:
            # Its own words may have the whole address.
            raise StoreError(f"{self.shown} does not answer ({type(error).__name__})") from None


class _Body:
    """An answer's body as a stream that never waits for more than the next bytes."""

    def __init__(self, answer: httpx.Response, shown: str) -> None:
        self._chunks = answer.iter_raw()
        self._shown = shown
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """Read what has come, at most so many bytes; nothing at the end."""
        try:
            while not self._rest:
                self._rest = next(self._chunks)
        except StopIteration:
            return b""
        except httpx.HTTPError as error:
            raise TransferError(
                f"the transfer from {self._shown} was cut ({type(error).__name__})"
            ) from None
        end = len(self._rest) if size < 0 else size
        taken, self._rest = self._rest[:end], self._rest[end:]
        return taken
