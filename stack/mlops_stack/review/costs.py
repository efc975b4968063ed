"""What the AWS resources of a plan cost a month, as far as a small table of prices knows."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from mlops_stack.review.plan import Change, Plan

# AWS's own calculator counts a month so.
HOURS_PER_MONTH: Final = 730
_TABLE: Final = Path(__file__).with_name("prices.yaml")
# Billed by what is declared, one of each.
_BY_TYPE: Final = {
    "aws:eks/cluster:Cluster": "eks-cluster",
    "aws:ec2/natGateway:NatGateway": "nat-gateway",
    "aws:ec2/eip:Eip": "public-ipv4",
    "aws:kms/key:Key": "kms-key",
}
_NODE_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
_LAUNCH_TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
_INSTANCE: Final = "aws:ec2/instance:Instance"
_ENDPOINT: Final = "aws:ec2/vpcEndpoint:VpcEndpoint"
_DATABASE: Final = "aws:rds/instance:Instance"
# What is billed by use alone, or by use too.
_BY_USE: Final = {
    "aws:s3/bucket:Bucket": "bytes and requests of buckets",
    "aws:ecr/repository:Repository": "bytes of images",
    "aws:cloudwatch/logGroup:LogGroup": "bytes of logs",
    "aws:ec2/natGateway:NatGateway": "bytes through NAT gateways",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "bytes through interface endpoints",
    "aws:kms/key:Key": "requests of keys",
    "aws:rds/instance:Instance": "backups of databases beyond their size",
}
# What AWS does not bill: rules, names, and what joins two things.
_FREE: Final = frozenset(
    {
        "aws:budgets/budget:Budget",
        # Its snapshots are billed by their bytes.
        "aws:dlm/lifecyclePolicy:LifecyclePolicy",
        "aws:ec2/internetGateway:InternetGateway",
        # The disks that it describes are billed with the nodes.
        _LAUNCH_TEMPLATE,
        "aws:ec2/route:Route",
        "aws:ec2/routeTable:RouteTable",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/vpc:Vpc",
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        "aws:eks/accessEntry:AccessEntry",
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        "aws:eks/addon:Addon",
        "aws:eks/podIdentityAssociation:PodIdentityAssociation",
        "aws:iam/role:Role",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:kms/alias:Alias",
        "aws:rds/parameterGroup:ParameterGroup",
        "aws:rds/subnetGroup:SubnetGroup",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketLogging:BucketLogging",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:s3/bucketVersioning:BucketVersioning",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    }
)
_BY_DECLARATION: Final = frozenset({*_BY_TYPE, _NODE_GROUP, _INSTANCE, _ENDPOINT, _DATABASE})


@dataclass(frozen=True, kw_only=True)
class Price:
    """One price.

    Attributes:
        monthly: US dollars for a month of it.
        as_of: the month that the source gives, or else the one in which it was read.
        source: where.
    """

    monthly: Decimal
    as_of: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Item:
    """A number of things that have one price.

    Attributes:
        price: the price's name in the table.
        quantity: how many.
        spot: whether it runs on spare capacity, whose price is lower and changes.
    """

    price: str
    quantity: Decimal
    spot: bool = False


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource, as far as its cost goes.

    Attributes:
        type: its type.
        name: its name in the program.
        inputs: what it declares.
    """

    type: str
    name: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a set of resources costs.

    Attributes:
        monthly: US dollars a month, of what has a price.
        unpriced: what is billed but is not in the table: names of prices, or types.
        by_use: what is billed by use, and is in no estimate.
        spot: whether spot capacity is in it, at the higher on-demand price.
        prices: the prices that it uses.
    """

    monthly: Decimal
    unpriced: tuple[str, ...]
    by_use: tuple[str, ...]
    spot: bool
    prices: frozenset[str]


@cache
def table() -> Mapping[str, Price]:
    """Return the prices by name."""
    content = yaml.safe_load(_TABLE.read_text())
    return {
        name: Price(
            monthly=Decimal(str(entry["hourly"])) * HOURS_PER_MONTH
            if "hourly" in entry
            else Decimal(str(entry["monthly"])),
            as_of=str(entry["as_of"]),
            source=entry["source"],
        )
        for name, entry in content["prices"].items()
    }


def node_disks(resources: Iterable[Resource]) -> dict[str, Decimal]:
    """Return the GiB of disk of a node, by the name that its group and launch template share."""
    return {
        found.name: sum(map(_gib, _list(found.inputs.get("blockDeviceMappings"))), Decimal(0))
        for found in resources
        if found.type == _LAUNCH_TEMPLATE
    }


def items(resource: Resource, disks: Mapping[str, Decimal]) -> Iterator[Item]:
    """Yield what AWS bills for one resource by what it declares.

    Args:
        resource: the resource.
        disks: see `node_disks`.
    """
    kind, inputs = resource.type, resource.inputs
    if kind in _BY_TYPE:
        yield Item(price=_BY_TYPE[kind], quantity=Decimal(1))
    elif kind == _NODE_GROUP:
        types = inputs.get("instanceTypes")
        # Without a type of its own, a managed node group takes this one.
        first = types[0] if isinstance(types, list) and types else "t3.medium"
        scaling = inputs.get("scalingConfig")
        size = _number(scaling.get("desiredSize", 0) if isinstance(scaling, dict) else 0)
        spot = inputs.get("capacityType") == "SPOT"
        yield Item(price=f"ec2-{first}", quantity=size, spot=spot)
        yield Item(price="ebs-gp3-gb", quantity=size * disks.get(resource.name, Decimal(0)))
    elif kind == _INSTANCE:
        yield Item(price=f"ec2-{inputs.get('instanceType')}", quantity=Decimal(1))
    elif kind == _ENDPOINT and inputs.get("vpcEndpointType") == "Interface":
        subnets = inputs.get("subnetIds")
        zones = len(subnets) if isinstance(subnets, list) else 1
        yield Item(price="interface-endpoint", quantity=Decimal(zones))
    elif kind == _DATABASE:
        copies = Decimal(2 if inputs.get("multiAz") is True else 1)
        yield Item(price=f"rds-{inputs.get('instanceClass')}", quantity=copies)
        storage = inputs.get("storageType", "gp2")
        size = _number(inputs.get("allocatedStorage", 0))
        yield Item(price=f"rds-storage-{storage}-gb", quantity=size * copies)
        if inputs.get("manageMasterUserPassword") is True:
            yield Item(price="secret", quantity=Decimal(1))


def is_known(kind: str) -> bool:
    """Return whether it is known how AWS bills resources of a type, if at all."""
    return kind in _BY_DECLARATION or kind in _BY_USE or kind in _FREE


def estimate(resources: Iterable[Resource], disks: Mapping[str, Decimal] | None = None) -> Estimate:
    """Return what resources cost a month.

    Args:
        resources: the resources.
        disks: see `node_disks`; those of the resources themselves by default.
    """
    resources = tuple(resources)
    disks = node_disks(resources) if disks is None else disks
    total = Decimal(0)
    unpriced = {r.type for r in resources if _of_aws(r.type) and not is_known(r.type)}
    used: set[str] = set()
    spot = False
    for resource in resources:
        for item in items(resource, disks):
            if not item.quantity:
                continue
            price = table().get(item.price)
            if price is None:
                unpriced.add(item.price)
                continue
            used.add(item.price)
            spot = spot or item.spot
            total += price.monthly * item.quantity
    return Estimate(
        monthly=total,
        unpriced=tuple(sorted(unpriced)),
        by_use=tuple(sorted({_BY_USE[r.type] for r in resources if _used(r)})),
        spot=spot,
        prices=frozenset(used),
    )


def before(plan: Plan) -> Estimate:
    """Return what the stack costs as it is deployed now."""
    return estimate(
        Resource(type=c.type, name=c.name, inputs=c.before)
        for c in plan.changes
        if c.before is not None
    )


def after(plan: Plan) -> Estimate:
    """Return what the stack costs once the plan is carried out."""
    return estimate(
        Resource(type=c.type, name=c.name, inputs=c.after)
        for c in plan.changes
        if c.after is not None
    )


def is_billed(change: Change) -> bool:
    """Return whether AWS bills a resource by what it declares."""
    inputs = change.after if change.after is not None else change.before
    return any(items(Resource(type=change.type, name=change.name, inputs=inputs or {}), {}))


def _of_aws(kind: str) -> bool:
    return kind.startswith("aws:")


def _used(resource: Resource) -> bool:
    if resource.type == _ENDPOINT:  # those of gateways cost nothing
        return resource.inputs.get("vpcEndpointType") == "Interface"
    return resource.type in _BY_USE


def _gib(mapping: object) -> Decimal:
    disk = mapping.get("ebs") if isinstance(mapping, dict) else None
    return _number(disk.get("volumeSize")) if isinstance(disk, dict) else Decimal(0)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _number(value: object) -> Decimal:
    return Decimal(str(value)) if isinstance(value, int | float) else Decimal(0)
