"""What an embedded cluster is: its parameters, checked before anything is touched."""

import dataclasses
import hashlib
import ipaddress
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from mlops_infra.node.errors import InvalidSpecError
from mlops_toolchain.kubernetes import DEFAULT as DEFAULT_KUBERNETES_VERSION

AUTO_NETWORK = "auto"
AUTO_VERSION = "auto"

_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z]*)")
# The kubelet's cgroup and lock names carry the cluster's name; a label of this length keeps every
# derived name inside its limit (the network interface's, 15 bytes, is derived by hash).
_MAX_NAME = 40
_MEMORY_UNITS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_CPU_UNITS = {"": 1000, "m": 1}


def parse_memory(quantity: str) -> int:
    """Bytes of a Kubernetes memory quantity such as `512Mi`."""
    return _parse(quantity, _MEMORY_UNITS, "memory", "512Mi or 2Gi")


def parse_cpu(quantity: str) -> int:
    """Thousandths of a core of a Kubernetes CPU quantity such as `250m` or `1.5`."""
    return _parse(quantity, _CPU_UNITS, "CPU", "250m or 1.5")


def _parse(quantity: str, units: dict[str, int], what: str, example: str) -> int:
    found = _QUANTITY.fullmatch(quantity)
    if found is None or found[2] not in units:
        allowed = ", ".join(unit for unit in units if unit)
        raise InvalidSpecError(
            f"{quantity!r} is not a {what} quantity: write a number and one of the units "
            f"{allowed} (or none), for example {example}"
        )
    try:
        return int(Decimal(found[1]) * units[found[2]])
    except InvalidOperation as error:
        raise InvalidSpecError(f"{quantity!r} is too long for a {what} quantity") from error


@dataclass(frozen=True, kw_only=True)
class NodeSpec:
    """One embedded cluster of one node.

    `kubernetes_version` is one that the toolchain makes, or `auto` for that which the cluster has;
    a new one gets the toolchain's default.
    `network` is one private IPv4 network of /16 to /20 from which the node's link, the pods' and
    the services' subnets are cut, or `auto` for the first free one. `reserved_memory` and
    `reserved_cpu` are kept for what runs beside the pods: the node's allocatable shrinks by them.
    `images` are names of the toolchain's images, or paths of OCI archives, that the node holds
    from the start beside those the cluster itself needs.
    """

    name: str
    kubernetes_version: str = DEFAULT_KUBERNETES_VERSION
    network: str = AUTO_NETWORK
    reserved_memory: str = "0"
    reserved_cpu: str = "0"
    images: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.name) > _MAX_NAME or _LABEL.fullmatch(self.name) is None:
            raise InvalidSpecError(
                f"cluster name {self.name!r} is not usable: up to {_MAX_NAME} characters of "
                "a-z, 0-9 and '-', beginning with a letter and not ending with '-'"
            )
        version = self.kubernetes_version
        if version != AUTO_VERSION and _VERSION.fullmatch(version) is None:
            raise InvalidSpecError(
                f"Kubernetes version {self.kubernetes_version!r} is not of the form "
                f"{DEFAULT_KUBERNETES_VERSION}, nor {AUTO_VERSION!r}"
            )
        if self.network != AUTO_NETWORK:
            parse_network(self.network)
        parse_memory(self.reserved_memory)
        parse_cpu(self.reserved_cpu)
        if any(not image for image in self.images):
            raise InvalidSpecError("an entry of images is empty: name an image or an archive")
        if len(set(self.images)) != len(self.images):
            raise InvalidSpecError("images lists the same image twice: name each one once")

    def resolved(self, kubernetes_version: str = DEFAULT_KUBERNETES_VERSION) -> "NodeSpec":
        """The same cluster with that version where the spec leaves it open."""
        if self.kubernetes_version != AUTO_VERSION:
            return self
        return dataclasses.replace(self, kubernetes_version=kubernetes_version)


def parse_network(text: str) -> ipaddress.IPv4Network:
    """The IPv4 network that `text` names, if a cluster can live in it."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise InvalidSpecError(
            f"network {text!r} is not an IPv4 network ({error}): write one such as 10.210.0.0/16, "
            f"or {AUTO_NETWORK!r}"
        ) from error
    if not 16 <= network.prefixlen <= 20:
        raise InvalidSpecError(
            f"network {text} has prefix length {network.prefixlen}: a cluster needs /16 to /20"
        )
    if not network.is_private or network.is_loopback or network.is_link_local:
        raise InvalidSpecError(
            f"network {text} is not a private one: choose it inside 10.0.0.0/8, 172.16.0.0/12 or "
            "192.168.0.0/16"
        )
    return network


@dataclass(frozen=True, kw_only=True)
class Subnets:
    """How one cluster's network is divided."""

    network: ipaddress.IPv4Network
    pods: ipaddress.IPv4Network
    services: ipaddress.IPv4Network
    link: ipaddress.IPv4Network
    host_address: ipaddress.IPv4Address
    node_address: ipaddress.IPv4Address
    dns_address: ipaddress.IPv4Address

    @classmethod
    def of(cls, network: ipaddress.IPv4Network | str) -> "Subnets":
        """Half for pods, a quarter for services, and the last four addresses for the node's link.

        The third quarter's rest stays free, so that a later use has room without a new network.
        """
        whole = parse_network(network) if isinstance(network, str) else network
        pods, upper = whole.subnets(prefixlen_diff=1)
        services, _ = upper.subnets(prefixlen_diff=1)
        link = ipaddress.IPv4Network((int(whole.broadcast_address) - 3, 30))
        return cls(
            network=whole,
            pods=pods,
            services=services,
            link=link,
            host_address=link[1],
            node_address=link[2],
            dns_address=services[10],
        )


def link_name(cluster: str) -> str:
    """The name of the cluster's network interface on the host (at most 15 bytes).

    Short names stay readable. The two prefixes differ, so a readable name can't equal a hashed one.
    """
    if len(cluster) <= 12:
        return f"ml-{cluster}"
    return f"mlx{hashlib.sha256(cluster.encode()).hexdigest()[:12]}"


def immutable_changes(
    old: NodeSpec, new: NodeSpec, *, network: str | None = None
) -> tuple[str, ...]:
    """Names of the parameters whose change needs a new cluster, in the order of the fields.

    `network` is what the old cluster was given when its spec said `auto`: asking for exactly that
    one, or for `auto` again, changes nothing.
    """
    changed = []
    if old.name != new.name:
        changed.append("name")
    versions = {old.kubernetes_version, new.kubernetes_version}
    if AUTO_VERSION not in versions and len(versions) > 1:
        changed.append("kubernetes_version")
    actual = network or old.network
    if new.network not in (AUTO_NETWORK, actual):
        changed.append("network")
    return tuple(changed)
