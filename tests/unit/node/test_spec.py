import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_infra.node.errors import InvalidSpecError
from mlops_infra.node.spec import (
    NodeSpec,
    Subnets,
    immutable_changes,
    link_name,
    parse_cpu,
    parse_memory,
)
from mlops_toolchain import kubernetes

names = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
networks = st.builds(
    lambda address, prefix: ipaddress.IPv4Network((address, prefix), strict=False),
    st.integers(
        int(ipaddress.IPv4Address("10.0.0.0")), int(ipaddress.IPv4Address("10.255.255.255"))
    ),
    st.integers(16, 20),
)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "Dev", "up to 40 characters of a-z"),
        ("name", "", "up to 40 characters"),
        ("name", "a" * 41, "up to 40 characters"),
        ("name", "../etc", "beginning with a letter"),
        ("name", "dev-", "not ending with '-'"),
        ("kubernetes_version", "v1.34.4", "not of the form "),
        ("network", "10.210.0.0/24", "a cluster needs /16 to /20"),
        ("network", "10.210.0.1/16", "host bits set"),
        ("network", "8.8.0.0/16", "not a private one"),
        ("network", "any", "write one such as 10.210.0.0/16, or 'auto'"),
        ("reserved_memory", "1GB", "for example 512Mi or 2Gi"),
        ("reserved_memory", "-1Gi", "for example 512Mi or 2Gi"),
        ("reserved_cpu", "half", "for example 250m or 1.5"),
        ("images", ("mlflow", "mlflow"), "lists the same image twice"),
        ("images", ("",), "name an image or an archive"),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_is_right(
    field: str, value: object, said: str
) -> None:
    with pytest.raises(InvalidSpecError, match=said):
        NodeSpec(**{"name": "dev", field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("512Mi", 512 * 2**20), ("1.5Gi", 3 * 2**29), ("2G", 2 * 10**9)]
)
def test_memory_quantities(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize(("text", "size"), [("0", 0), ("250m", 250), ("1.5", 1500), ("2", 2000)])
def test_cpu_quantities(text: str, size: int) -> None:
    assert parse_cpu(text) == size


@given(networks)
def test_subnets_are_apart_and_inside(network: ipaddress.IPv4Network) -> None:
    subnets = Subnets.of(network)
    parts = [subnets.pods, subnets.services, subnets.link]
    assert all(part.subnet_of(network) for part in parts)
    assert not any(a.overlaps(b) for a in parts for b in parts if a is not b)
    assert {subnets.host_address, subnets.node_address} == set(subnets.link.hosts())
    assert subnets.dns_address in subnets.services
    # 110 pods, the kubelet's limit, and a few hundred services
    assert subnets.pods.num_addresses >= 2048
    assert subnets.services.num_addresses >= 1024


def test_subnets_of_the_first_automatic_network() -> None:
    subnets = Subnets.of("10.210.0.0/16")
    assert str(subnets.pods) == "10.210.0.0/17"
    assert str(subnets.services) == "10.210.128.0/18"
    assert str(subnets.node_address) == "10.210.255.254"
    assert str(subnets.dns_address) == "10.210.128.10"


@given(names, names)
def test_interface_names_are_short_and_apart(one: str, other: str) -> None:
    # 15 bytes: IFNAMSIZ without the closing zero
    assert len(link_name(one).encode()) <= 15
    assert (link_name(one) == link_name(other)) == (one == other)


def test_only_what_a_running_node_cannot_take_needs_a_new_cluster() -> None:
    old = NodeSpec(name="dev")
    in_place = NodeSpec(name="dev", reserved_memory="1Gi", reserved_cpu="1", images=("mlflow",))
    assert immutable_changes(old, in_place) == ()
    moved = NodeSpec(name="dev", kubernetes_version="1.34.5", network="10.220.0.0/16")
    assert immutable_changes(old, moved, network="10.210.0.0/16") == (
        "kubernetes_version",
        "network",
    )


def test_a_cluster_keeps_its_version_when_the_default_moves() -> None:
    older, auto = (NodeSpec(name="dev", kubernetes_version=v) for v in ("1.30.0", "auto"))
    assert immutable_changes(older, auto) == ()
    assert auto.resolved("1.30.0").kubernetes_version == "1.30.0"
    assert older.resolved("1.31.0") == older
    assert auto.resolved().kubernetes_version == kubernetes.DEFAULT


def test_naming_the_network_that_auto_chose_changes_nothing() -> None:
    auto, named = NodeSpec(name="dev"), NodeSpec(name="dev", network="10.210.0.0/16")
    assert immutable_changes(auto, named, network="10.210.0.0/16") == ()
    assert immutable_changes(named, auto, network="10.210.0.0/16") == ()
