"""Ports for servers on this machine that are told theirs before they listen on it."""

import errno
import random
import socket

# Below what Linux gives to outgoing connections (net.ipv4.ip_local_port_range) and to NodePorts: a
# port of those may be taken by any client between the look and the server's own bind.
_PORTS = range(15_000, 30_000)
_ATTEMPTS = 100


def free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port that nobody listens on.

    Args:
        address: address of this machine.

    Raises:
        OSError: the address is none of this machine, or none of the ports that were tried is free.
    """
    for port in random.SystemRandom().sample(_PORTS, _ATTEMPTS):
        with socket.socket() as probe:
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise
            return port
    raise OSError(errno.EADDRINUSE, f"none of {_ATTEMPTS} ports from {_PORTS.start} on is free")
