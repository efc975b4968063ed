"""The gRPC service ml_metadata.MetadataStoreService over the library in the ml-metadata package.

It takes the flags of upstream's C++ server that upstream's Deployment may need, and passes requests
and replies through as they are on the wire. Upstream publishes that server as an image only; its
code is the library's.

While the database restarts, calls wait for it. Kubeflow's driver and launcher fail a whole run when
one of their calls fails.
"""

import argparse
import logging
import threading
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path

import grpc
from google.protobuf import text_format
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as library
from ml_metadata.proto import metadata_store_pb2 as proto
from ml_metadata.proto import metadata_store_service_pb2 as service

# A call of the library: (store, request) -> (reply, error message, gRPC status)
Method = Callable[[object, bytes], tuple[bytes, bytes, int]]

_SERVICE = service.DESCRIPTOR.services_by_name["MetadataStoreService"]
_STATUS = {code.value[0]: code for code in grpc.StatusCode}
_ABORTED = grpc.StatusCode.ABORTED.value[0]
_INTERNAL = grpc.StatusCode.INTERNAL.value[0]
_ATTEMPTS = 5
# How long a call and the start wait for the database, which needs seconds for a restart, and a
# minute or more where its Pod moves with its volume.
_DATABASE_SECONDS = 120
_PAUSE_SECONDS = 0.5


class Store:
    """One connection to the database, used by one call at a time.

    Args:
        config: where the database is.
        options: whether to upgrade its tables.
    """

    def __init__(self, config: proto.ConnectionConfig, options: proto.MigrationOptions) -> None:
        self._config = config.SerializeToString()
        self._options = options.SerializeToString()
        self._lock = threading.Lock()
        self._store: object | None = None

    def wait(self, seconds: float = _DATABASE_SECONDS) -> None:
        """Connect to a database that may still be starting; return once it answers.

        Raises:
            RuntimeError: it did not answer in time, or refuses the account.
        """
        with self._lock:
            self._wait(time.monotonic() + seconds, lambda: True)

    def call(
        self, method: Method, request: bytes, wanted: Callable[[], bool] = lambda: True
    ) -> tuple[bytes, str, int]:
        """Return reply, error message and gRPC status (0: no error) of one call.

        Args:
            method: what to call.
            request: its argument.
            wanted: whether somebody still waits for the reply.

        Raises:
            RuntimeError: the database did not come back in time.
        """
        deadline = time.monotonic() + _DATABASE_SECONDS
        aborted = lost = 0
        with self._lock:
            while True:
                if self._store is None:
                    self._wait(deadline, wanted)
                reply, error, status = method(self._store, request)
                if status == _ABORTED and aborted < _ATTEMPTS:
                    # Two transactions met; the library asks for another try.
                    time.sleep(0.05 * 2**aborted)
                    aborted += 1
                elif status == _INTERNAL and lost < _ATTEMPTS:
                    # Perhaps the connection is lost, and the database with it: the library's codes
                    # do not tell. The next try makes a new connection, once one can be made.
                    self._store = None
                    lost += 1
                else:
                    return reply, error.decode(errors="replace"), status

    def _wait(self, deadline: float, wanted: Callable[[], bool]) -> None:
        while self._store is None:
            try:
                self._store = library.CreateMetadataStore(self._config, self._options)
            except RuntimeError as error:
                if time.monotonic() > deadline or not wanted():
                    raise
                logging.info("waiting for the database: %s", error)
                time.sleep(_PAUSE_SECONDS)


def _handler(store: Store, name: str) -> grpc.RpcMethodHandler:
    method: Method | None = getattr(library, name, None)

    def refuse(_request: bytes, context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{name} is not in the Python library")

    if method is None:
        return grpc.unary_unary_rpc_method_handler(refuse)

    def serve(request: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            reply, error, status = store.call(method, request, context.is_active)
        except RuntimeError as failure:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(failure))
        if status:
            context.abort(_STATUS.get(status, grpc.StatusCode.UNKNOWN), error)
        return reply

    return grpc.unary_unary_rpc_method_handler(serve)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grpc_port", type=int, default=8080)
    parser.add_argument("--metadata_store_server_config_file", type=Path, required=True)
    # A flag of upstream's Deployment that changes nothing here.
    parser.add_argument("--grpc_channel_arguments", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Serve until the process is ended."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # The password is in a file: a process' arguments are for everybody to read.
    given = arguments.metadata_store_server_config_file.read_text()
    config = text_format.Parse(given, proto.MetadataStoreServerConfig())
    store = Store(config.connection_config, config.migration_options)
    store.wait()
    server = grpc.server(
        futures.ThreadPoolExecutor(8),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    handlers = {method.name: _handler(store, method.name) for method in _SERVICE.methods}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_SERVICE.full_name, handlers),)
    )
    server.add_insecure_port(f"0.0.0.0:{arguments.grpc_port}")
    server.start()
    logging.info("%s listens on port %d", _SERVICE.full_name, arguments.grpc_port)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
