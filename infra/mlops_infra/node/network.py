"""The cluster's way to the host: addresses, the veth pair, routes.

The node has a network namespace of its own without a name: it ends with the node's processes, and
the link and its routes on the host with it.
"""

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlops_infra.node.command import run
from mlops_infra.node.errors import CommandError, PreflightError
from mlops_infra.node.spec import AUTO_NETWORK, Subnets, link_name, parse_network

AUTO_NETWORKS = tuple(ipaddress.IPv4Network(f"10.{second}.0.0/16") for second in range(210, 250))
LINK_ALIAS = "mlops-platform:"
KUBE_PROXY_TABLE = "kube-proxy"


@dataclass(frozen=True, kw_only=True)
class UsedNetwork:
    """A network that this machine uses already; `by` says for what."""

    network: ipaddress.IPv4Network
    by: str


def networks_of_host(*, addresses: str, routes: str) -> tuple[UsedNetwork, ...]:
    """What `ip -json address` and `ip -json route show table all` say is in use.

    The default route covers everything and therefore takes nothing.
    """
    used = []
    for interface in json.loads(addresses):
        for entry in interface.get("addr_info", []):
            if entry.get("family") == "inet":
                network = ipaddress.IPv4Interface(f"{entry['local']}/{entry['prefixlen']}").network
                used.append(UsedNetwork(network=network, by=f"interface {interface['ifname']}"))
    for route in json.loads(routes):
        destination = route.get("dst", "default")
        if destination == "default" or ":" in destination or destination == "0.0.0.0/0":
            continue
        network = ipaddress.IPv4Network(destination, strict=False)
        used.append(UsedNetwork(network=network, by=f"a route by {route.get('dev', 'no device')}"))
    return tuple(used)


def host_networks(*, of_others_than: str) -> tuple[UsedNetwork, ...]:
    """What this machine uses now, leaving out the named cluster's own link."""
    without_link = link_name(of_others_than)
    used = networks_of_host(
        addresses=run(["ip", "-json", "address"]),
        routes=run(["ip", "-json", "-4", "route", "show", "table", "all"]),
    )
    mine = (f"interface {without_link}", f"a route by {without_link}")
    return tuple(entry for entry in used if entry.by not in mine)


def conflict(
    network: ipaddress.IPv4Network,
    host: tuple[UsedNetwork, ...],
    clusters: Mapping[str, str],
) -> str | None:
    """Who uses a part of `network` already (clusters: name to network), or None."""
    for name, other in sorted(clusters.items()):
        if network.overlaps(ipaddress.IPv4Network(other)):
            return f"cluster {name} ({other})"
    for used in host:
        if network.overlaps(used.network):
            return f"{used.by} ({used.network})"
    return None


def choose(wanted: str, host: tuple[UsedNetwork, ...], clusters: Mapping[str, str]) -> str:
    """The network that a new cluster gets.

    Raises PreflightError when the wanted one, or every automatic one, is taken.
    """
    if wanted != AUTO_NETWORK:
        taken = conflict(parse_network(wanted), host, clusters)
        if taken:
            raise PreflightError((f"network {wanted} overlaps {taken}: choose another network",))
        return wanted
    for candidate in AUTO_NETWORKS:
        if conflict(candidate, host, clusters) is None:
            return str(candidate)
    raise PreflightError(
        (
            f"all networks from {AUTO_NETWORKS[0]} to {AUTO_NETWORKS[-1]} are in use: name a free "
            "one in the cluster's settings",
        )
    )


def connect(cluster: str, subnets: Subnets, pid: int) -> None:
    """Join the network namespace of process `pid` to the host.

    On the host one link, its address and two routes appear; no setting of the host changes.
    """
    link = link_name(cluster)
    run(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
    run(["ip", "link", "set", link, "alias", f"{LINK_ALIAS}{cluster}"])
    # The link is for IPv4 alone: no link-local address, no router solicitations
    ipv6 = Path(f"/proc/sys/net/ipv6/conf/{link}/disable_ipv6")
    if ipv6.exists():
        ipv6.write_text("1")
    prefix = subnets.link.prefixlen
    host_side = [
        f"address add {subnets.host_address}/{prefix} dev {link}",
        f"link set {link} up",
        f"route add {subnets.pods} via {subnets.node_address} dev {link}",
        f"route add {subnets.services} via {subnets.node_address} dev {link}",
    ]
    node_side = [
        "link set lo up",
        f"address add {subnets.node_address}/{prefix} dev eth0",
        "link set eth0 up",
        # The node itself calls services (webhooks): a route must exist before kube-proxy's
        # translation sends the packet elsewhere. There is no default route: an address outside
        # is refused at once instead of timing out
        f"route add {subnets.services} via {subnets.host_address} dev eth0",
    ]
    # Only the host itself may come in: a machine beside it that routes packets here is not heard
    door = (
        "table ip mlops {\n"
        "  chain door {\n"
        "    type filter hook prerouting priority -300; policy accept;\n"
        f'    iifname "eth0" ip saddr != {subnets.host_address} drop\n'
        "  }\n"
        "}\n"
    )
    inside = ["nsenter", "--net", "--target", str(pid)]
    run([*inside, "nft", "-f", "-"], stdin=door)
    run([*inside, "ip", "-batch", "-"], stdin="\n".join(node_side) + "\n")
    run([*inside, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"])
    run(["ip", "-batch", "-"], stdin="\n".join(host_side) + "\n")


def disconnect(cluster: str) -> None:
    """Remove the cluster's link, and with it its routes, if it is still there."""
    link = link_name(cluster)
    if any(entry["ifname"] == link for entry in json.loads(run(["ip", "-json", "link"]))):
        try:
            run(["ip", "link", "delete", link])
        except CommandError:  # it vanishes by itself while the namespace ends
            if any(entry["ifname"] == link for entry in json.loads(run(["ip", "-json", "link"]))):
                raise


def owned_links() -> dict[str, str]:
    """Links on the host that belong to a cluster: name of the link to name of the cluster."""
    return {
        entry["ifname"]: entry["ifalias"].removeprefix(LINK_ALIAS)
        for entry in json.loads(run(["ip", "-json", "-details", "link"]))
        if entry.get("ifalias", "").startswith(LINK_ALIAS)
    }
