"""The gRPC service ml_metadata.MetadataStoreService over the library in the ml-metadata package.

It takes the flags of upstream's C++ server, so that upstream's Deployment keeps its arguments, and
passes requests and replies through as they are on the wire. Upstream publishes that server as an
image only; its code is the library's.
"""

import argparse
import logging
import threading
import time
from collections.abc import Callable
from concurrent import futures

import grpc
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
_DATABASE_SECONDS = 120


class Store:
    """One connection to the database, used by one call at a time.

    Args:
        config: where the database is.
    """

    def __init__(self, config: proto.ConnectionConfig) -> None:
        self._config = config.SerializeToString()
        self._lock = threading.Lock()
        self._store: object | None = None

    def open(self) -> None:
        """Connect, and bring the database's tables to this version.

        Raises:
            RuntimeError: the database does not answer or refuses the account.
        """
        options = proto.MigrationOptions(enable_upgrade_migration=True)
        self._store = library.CreateMetadataStore(self._config, options.SerializeToString())

    def call(self, method: Method, request: bytes) -> tuple[bytes, str, int]:
        """Return reply, error message and gRPC status (0: no error) of one call."""
        with self._lock:
            for attempt in range(_ATTEMPTS):
                if self._store is None:
                    self.open()
                reply, error, status = method(self._store, request)
                last = attempt == _ATTEMPTS - 1
                if status == _ABORTED and not last:
                    # Two transactions met; the library asks for another try.
                    time.sleep(0.05 * 2**attempt)
                    continue
                if status == _INTERNAL:
                    # Perhaps the connection is lost: the next try makes a new one.
                    self._store = None
                    if attempt == 0:
                        continue
                break
            return reply, error.decode(errors="replace"), status


def _handler(store: Store, name: str) -> grpc.RpcMethodHandler:
    method: Method | None = getattr(library, name, None)

    def refuse(_request: bytes, context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{name} is not in the Python library")

    if method is None:
        return grpc.unary_unary_rpc_method_handler(refuse)

    def serve(request: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            reply, error, status = store.call(method, request)
        except RuntimeError as failure:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(failure))
        if status:
            context.abort(_STATUS.get(status, grpc.StatusCode.UNKNOWN), error)
        return reply

    return grpc.unary_unary_rpc_method_handler(serve)


def _open(store: Store) -> None:
    """Connect to a database that may still be starting."""
    deadline = time.monotonic() + _DATABASE_SECONDS
    while True:
        try:
            return store.open()
        except RuntimeError as error:
            if time.monotonic() > deadline:
                raise
            logging.info("waiting for the database: %s", error)
            time.sleep(0.5)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grpc_port", type=int, default=8080)
    for part in ("host", "user", "password", "database"):
        parser.add_argument(f"--mysql_config_{part}", required=True)
    parser.add_argument("--mysql_config_port", type=int, default=3306)
    # Flags of upstream's Deployment that change nothing here: upgrades are always on.
    parser.add_argument("--enable_database_upgrade", help=argparse.SUPPRESS)
    parser.add_argument("--grpc_channel_arguments", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Serve until the process is ended."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = proto.ConnectionConfig()
    config.mysql.host = arguments.mysql_config_host
    config.mysql.port = arguments.mysql_config_port
    config.mysql.user = arguments.mysql_config_user
    config.mysql.password = arguments.mysql_config_password
    config.mysql.database = arguments.mysql_config_database
    store = Store(config)
    _open(store)
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
