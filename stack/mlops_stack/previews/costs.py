"""What the AWS resources of a plan cost a month, as far as a small table of prices knows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from mlops_stack.previews.plan import Change, Plan

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
_INSTANCE: Final = "aws:ec2/instance:Instance"
_ENDPOINT: Final = "aws:ec2/vpcEndpoint:VpcEndpoint"
_DATABASE: Final = "aws:rds/instance:Instance"


@dataclass(frozen=True, kw_only=True)
class Price:
    """One price.

    Attributes:
        monthly: US dollars for a month of it.
        as_of: the month in which it was read.
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
class Estimate:
    """What a set of resources costs.

    Attributes:
        monthly: US dollars a month, of what has a price.
        unpriced: what is billed but is not in the table.
        spot: whether spot capacity is in it, at the higher on-demand price.
        prices: the prices that it uses.
    """

    monthly: Decimal
    unpriced: tuple[str, ...]
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


def items(kind: str, inputs: Mapping[str, Any]) -> Iterator[Item]:
    """Yield what AWS bills for one resource by what it declares."""
    if kind in _BY_TYPE:
        yield Item(price=_BY_TYPE[kind], quantity=Decimal(1))
    elif kind == _NODE_GROUP:
        types = inputs.get("instanceTypes")
        # Without a type of its own, a managed node group takes this one.
        first = types[0] if isinstance(types, list) and types else "t3.medium"
        scaling = inputs.get("scalingConfig")
        size = scaling.get("desiredSize", 0) if isinstance(scaling, dict) else 0
        spot = inputs.get("capacityType") == "SPOT"
        yield Item(price=f"ec2-{first}", quantity=_number(size), spot=spot)
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


def estimate(resources: Iterator[tuple[str, Mapping[str, Any]]]) -> Estimate:
    """Return what resources, given as type and inputs, cost a month."""
    total = Decimal(0)
    unpriced: set[str] = set()
    used: set[str] = set()
    spot = False
    for kind, inputs in resources:
        for item in items(kind, inputs):
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
        monthly=total, unpriced=tuple(sorted(unpriced)), spot=spot, prices=frozenset(used)
    )


def before(plan: Plan) -> Estimate:
    """Return what the stack costs as it is deployed now."""
    return estimate((c.type, c.before) for c in plan.changes if c.before is not None)


def after(plan: Plan) -> Estimate:
    """Return what the stack costs once the plan is carried out."""
    return estimate((c.type, c.after) for c in plan.changes if c.after is not None)


def is_billed(change: Change) -> bool:
    """Return whether AWS bills a resource by what it declares."""
    inputs = change.after if change.after is not None else change.before
    return any(items(change.type, inputs or {}))


def _number(value: object) -> Decimal:
    return Decimal(str(value)) if isinstance(value, int | float) else Decimal(0)
