"""Everything on a bill says whose it is and until when."""

from collections.abc import Iterator, Mapping
from typing import Final

from mlops_policies.rule import UNKNOWN, Allowed, Resource, Rule

# Those by which a stack's end is proven; shorter ones could be anybody's.
REQUIRED: Final = ("mlops-platform/stack", "mlops-platform/owner", "mlops-platform/expires")
# Types that AWS bills or that hold data; what merely joins two of them takes no tags.
TAGGED: Final = frozenset(
    {
        "aws:ec2/vpc:Vpc",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/eip:Eip",
        "aws:ec2/natGateway:NatGateway",
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/instance:Instance",
        "aws:ec2/launchTemplate:LaunchTemplate",
        "aws:ebs/volume:Volume",
        "aws:eks/cluster:Cluster",
        "aws:eks/nodeGroup:NodeGroup",
        "aws:eks/addon:Addon",
        "aws:ecr/repository:Repository",
        "aws:iam/role:Role",
        "aws:iam/policy:Policy",
        "aws:kms/key:Key",
        "aws:rds/instance:Instance",
        "aws:rds/cluster:Cluster",
        "aws:s3/bucket:Bucket",
        "aws:s3/bucketV2:BucketV2",
        "aws:cloudwatch/logGroup:LogGroup",
    }
)


def _missing(resource: Resource, _: Allowed) -> Iterator[str]:
    if resource.type not in TAGGED:
        return
    # With the provider's default tags, what it adds to the resource's own is in tagsAll.
    tags = {**_tags(resource, "tags"), **_tags(resource, "tagsAll")}
    if UNKNOWN in (resource.get("tags"), resource.get("tagsAll")):
        return
    missing = [name for name in REQUIRED if not tags.get(name)]
    if missing:
        yield f"it lacks the tags {', '.join(missing)}"


def _tags(resource: Resource, key: str) -> Mapping[str, object]:
    found = resource.get(key)
    return found if isinstance(found, Mapping) else {}


RULES = (
    Rule(
        name="tags-and-expiry",
        description="What AWS bills is tagged with its stack, owner and expiry.",
        remedy=f"Set {', '.join(REQUIRED)} on it, or as default tags of the provider.",
        check=_missing,
    ),
)
