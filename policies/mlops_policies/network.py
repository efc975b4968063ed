"""Nodes and databases are in private networks, and nothing lets the whole world in."""

from collections.abc import Iterator

from mlops_policies.rule import UNKNOWN, Allowed, Resource, Rule, items, texts

_NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
_INSTANCE = "aws:ec2/instance:Instance"
_LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
_SUBNET = "aws:ec2/subnet:Subnet"
_CLUSTER = "aws:eks/cluster:Cluster"
_DATABASES = ("aws:rds/instance:Instance", "aws:rds/clusterInstance:ClusterInstance")
_SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
_RULES = "aws:ec2/securityGroupRule:SecurityGroupRule"
_INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
_WORLD = frozenset({"0.0.0.0/0", "::/0"})
# A public subnet's only tenants are NAT gateways and load balancers, which bring their addresses.
_PUBLIC_ADDRESS = {
    _INSTANCE: "associatePublicIpAddress",
    _SUBNET: "mapPublicIpOnLaunch",
    **dict.fromkeys(_DATABASES, "publiclyAccessible"),
}


def _public(resource: Resource, _: Allowed) -> Iterator[str]:
    key = _PUBLIC_ADDRESS.get(resource.type)
    if key and resource.get(key) is True:
        yield f"{key} gives it a public address"
    if resource.is_a(_LAUNCH_TEMPLATE):
        for interface in items(resource.get("networkInterfaces")):
            # The SDK gives this one as text.
            if isinstance(interface, dict) and interface.get("associatePublicIpAddress") in (
                True,
                "true",
            ):
                yield "associatePublicIpAddress gives its nodes public addresses"
    remote = resource.is_a(_NODE_GROUP) and resource.get("remoteAccess") is not None
    if remote and not resource.get("remoteAccess.sourceSecurityGroupIds"):
        yield "remoteAccess opens SSH to the whole world"


def _world(resource: Resource, _: Allowed) -> Iterator[str]:
    if resource.is_a(_SECURITY_GROUP):
        for ingress in items(resource.get("ingress")):
            blocks = {*texts(ingress.get("cidrBlocks")), *texts(ingress.get("ipv6CidrBlocks"))}
            if blocks & _WORLD:
                yield f"port {_port(ingress.get('fromPort'))} is open to the whole world"
    if resource.is_a(_RULES) and resource.get("type") == "ingress":
        blocks = {*texts(resource.get("cidrBlocks")), *texts(resource.get("ipv6CidrBlocks"))}
        if blocks & _WORLD:
            yield f"port {_port(resource.get('fromPort'))} is open to the whole world"
    if resource.is_a(_INGRESS) and {resource.get("cidrIpv4"), resource.get("cidrIpv6")} & _WORLD:
        yield f"port {_port(resource.get('fromPort'))} is open to the whole world"
    if resource.is_a(_CLUSTER):
        access = resource.get("vpcConfig", {})
        if access is UNKNOWN or access.get("endpointPublicAccess") is False:
            return
        blocks = access.get("publicAccessCidrs")
        if blocks is None or set(texts(blocks)) & _WORLD:
            yield "its API answers the whole world"


def _port(value: object) -> str:
    return str(int(value)) if isinstance(value, int | float) else "?"


RULES = (
    Rule(
        name="private-nodes",
        description="Nodes, instances and databases have no public address.",
        remedy="Use private subnets, without public addresses; reach them by the cluster's API.",
        check=_public,
    ),
    Rule(
        name="no-open-ingress",
        description="No port and no cluster API is open to the whole world.",
        remedy="Name the networks that need it (publicAccessCidrs for a cluster), or keep the "
        "endpoint private.",
        check=_world,
    ),
)
