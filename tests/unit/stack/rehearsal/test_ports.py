"""Ports for servers that are started later."""

import random
import socket
from pathlib import Path

import pytest

from mlops_stack.rehearsal import ports


def test_no_outgoing_connection_can_take_it() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not any(first <= ports.free_port() <= last for _ in range(50))


def test_one_that_is_listened_on_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    free = ports.free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr(random.SystemRandom, "sample", lambda *_: [port, free])
        assert ports.free_port() == free


def test_an_address_of_another_machine_is_named_as_such() -> None:
    with pytest.raises(OSError, match="assign"):
        ports.free_port("192.0.2.1")
