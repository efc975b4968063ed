import ipaddress
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_infra.node.errors import PreflightError
from mlops_infra.node.network import (
    AUTO_NETWORKS,
    UsedNetwork,
    choose,
    conflict,
    networks_of_host,
)

ADDRESSES = json.dumps(
    [
        {
            "ifname": "eth0",
            "addr_info": [
                {"family": "inet", "local": "10.212.3.4", "prefixlen": 24},
                {"family": "inet6", "local": "fd00::2", "prefixlen": 64},
            ],
        },
        {"ifname": "down0", "addr_info": []},
    ]
)
ROUTES = json.dumps(
    [
        {"dst": "default", "gateway": "10.212.3.1", "dev": "eth0"},
        {"dst": "10.210.0.0/17", "dev": "docker0"},
        {"type": "local", "dst": "127.0.0.1", "dev": "lo"},
        {"type": "blackhole", "dst": "10.214.0.0/16"},
    ]
)


def test_what_the_host_uses_is_read_from_addresses_and_routes() -> None:
    used = networks_of_host(addresses=ADDRESSES, routes=ROUTES)
    assert {(str(entry.network), entry.by) for entry in used} == {
        ("10.212.3.0/24", "interface eth0"),
        ("10.210.0.0/17", "a route by docker0"),
        ("127.0.0.1/32", "a route by lo"),
        ("10.214.0.0/16", "a route by no device"),
    }


def test_auto_takes_the_first_network_that_nobody_uses() -> None:
    used = networks_of_host(addresses=ADDRESSES, routes=ROUTES)
    assert choose("auto", (), {}) == "10.210.0.0/16"
    assert choose("auto", used, {}) == "10.211.0.0/16"
    assert choose("auto", used, {"other": "10.211.0.0/16"}) == "10.213.0.0/16"


def test_a_named_network_that_is_in_use_is_refused_with_its_user() -> None:
    used = networks_of_host(addresses=ADDRESSES, routes=ROUTES)
    with pytest.raises(PreflightError, match=r"overlaps interface eth0 \(10\.212\.3\.0/24\)"):
        choose("10.212.0.0/16", used, {})
    with pytest.raises(PreflightError, match=r"overlaps cluster other \(10\.220\.0\.0/16\)"):
        choose("10.220.16.0/20", (), {"other": "10.220.0.0/16"})


def test_no_automatic_network_left() -> None:
    everything = (UsedNetwork(network=ipaddress.IPv4Network("10.0.0.0/8"), by="a route by vpn0"),)
    with pytest.raises(PreflightError, match="name a free one"):
        choose("auto", everything, {})


@given(st.sets(st.sampled_from(AUTO_NETWORKS), max_size=len(AUTO_NETWORKS) - 1))
def test_whatever_is_taken_auto_never_conflicts(taken: set[ipaddress.IPv4Network]) -> None:
    clusters = {f"c{number}": str(network) for number, network in enumerate(taken)}
    chosen = ipaddress.IPv4Network(choose("auto", (), clusters))
    assert conflict(chosen, (), clusters) is None
