"""Web servers on loopback that a shared cache is read from, well and ill."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Files(SimpleHTTPRequestHandler):
    """A folder's files."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(
    handler: type[BaseHTTPRequestHandler] | partial[Files],
) -> Iterator[str]:
    """Run a server; return its host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def files(folder: Path) -> partial[Files]:
    """Return a handler for a folder."""
    return partial(Files, directory=str(folder))


def refused() -> str:
    """Return an address of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"
