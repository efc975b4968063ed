"""What is still in AWS of a stack: asked of AWS itself, by tag and by VPC."""

from collections.abc import Iterator
from typing import Any

import boto3

_TAG = "mlops-platform/stack"
_ID_TAG = "mlops-platform/stack-id"
_ACTIVE_NAT = ["pending", "available"]


def leftovers(stack: str, region: str) -> list[str]:
    """Return what AWS still has of a stack, one line each; nothing is the proof of its end.

    Resources that Kubernetes made (load balancers, volumes) bear the cluster's tag and not the
    stack's; those are found by that tag, and by the VPC.

    Raises:
        botocore.exceptions.BotoCoreError: AWS cannot be asked.
        botocore.exceptions.ClientError: AWS refuses to answer.
    """
    return [*_found(Asked(stack, region))]


def cluster_exists(stack: str, region: str) -> bool:
    """Return whether the stack's EKS cluster is there.

    Raises:
        botocore.exceptions.BotoCoreError: AWS cannot be asked.
        botocore.exceptions.ClientError: AWS refuses to answer.
    """
    asked = Asked(stack, region)
    return asked.cluster in pages(asked.client("eks"), "list_clusters", "clusters")


def cluster_stack_id(stack: str, region: str) -> str:
    """Return the id of the stack that an EKS cluster bears; empty for none, or no cluster.

    Raises:
        botocore.exceptions.BotoCoreError: AWS cannot be asked.
        botocore.exceptions.ClientError: AWS refuses to answer.
    """
    asked = Asked(stack, region)
    eks = asked.client("eks")
    try:
        found = eks.describe_cluster(name=asked.cluster)["cluster"]
    except eks.exceptions.ResourceNotFoundException:
        return ""
    return str((found.get("tags") or {}).get(_ID_TAG, ""))


class Asked:
    """The clients of a region, and how the stack's things are recognised."""

    def __init__(self, stack: str, region: str) -> None:
        self.stack = stack
        self.cluster = f"mlops-{stack}"
        self.region = region

    def client(self, service: str) -> Any:
        """Return the client of a service."""
        make: Any = boto3.client  # its overloads want a literal name
        return make(service, region_name=self.region)

    def ours(self, tags: list[dict[str, str]] | None) -> bool:
        """Return whether something with these tags is the stack's, or its cluster's."""
        held = {tag["Key"]: tag["Value"] for tag in tags or []}
        return (
            held.get(_TAG) == self.stack
            or f"kubernetes.io/cluster/{self.cluster}" in held
            or held.get("elbv2.k8s.aws/cluster") == self.cluster
            or held.get("eks:cluster-name") == self.cluster
        )


def _found(asked: Asked) -> Iterator[str]:
    ec2 = asked.client("ec2")
    vpcs = {v["VpcId"] for v in pages(ec2, "describe_vpcs", "Vpcs") if asked.ours(v.get("Tags"))}
    yield from (f"VPC {vpc}" for vpc in sorted(vpcs))
    yield from _load_balancers(asked, vpcs)
    yield from _in_network(asked, ec2, vpcs)
    yield from _data(asked)
    yield from _others(asked)


def _load_balancers(asked: Asked, vpcs: set[str]) -> Iterator[str]:
    elb = asked.client("elbv2")
    for operation, key, what in (
        ("describe_load_balancers", "LoadBalancers", "LoadBalancer"),
        ("describe_target_groups", "TargetGroups", "TargetGroup"),
    ):
        for found in pages(elb, operation, key):
            arn = found[f"{what}Arn"]
            tags = elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
            if found.get("VpcId") in vpcs or asked.ours(tags):
                label = "load balancer" if what == "LoadBalancer" else "target group"
                yield f"{label} {found[f'{what}Name']}"
    classic = asked.client("elb")
    for found in pages(classic, "describe_load_balancers", "LoadBalancerDescriptions"):
        if found.get("VPCId") in vpcs:
            yield f"load balancer {found['LoadBalancerName']}"


def _in_network(asked: Asked, ec2: Any, vpcs: set[str]) -> Iterator[str]:
    for operation, key, identity, label in (
        ("describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId", "interface"),
        ("describe_security_groups", "SecurityGroups", "GroupId", "security group"),
        ("describe_subnets", "Subnets", "SubnetId", "subnet"),
        ("describe_volumes", "Volumes", "VolumeId", "volume"),
        ("describe_addresses", "Addresses", "AllocationId", "elastic IP"),
        ("describe_launch_templates", "LaunchTemplates", "LaunchTemplateId", "launch template"),
    ):
        for found in pages(ec2, operation, key):
            tags = found.get("Tags") or found.get("TagSet")
            # Each VPC has a default group that goes with it.
            default = found.get("GroupName") == "default"
            if not default and (found.get("VpcId") in vpcs or asked.ours(tags)):
                yield f"{label} {found.get(identity)}"
    for nat in pages(ec2, "describe_nat_gateways", "NatGateways"):
        if nat["State"] in _ACTIVE_NAT and (nat["VpcId"] in vpcs or asked.ours(nat.get("Tags"))):
            yield f"NAT gateway {nat['NatGatewayId']}"
    for reservation in pages(ec2, "describe_instances", "Reservations"):
        for instance in reservation["Instances"]:
            alive = instance["State"]["Name"] != "terminated"
            if alive and (instance.get("VpcId") in vpcs or asked.ours(instance.get("Tags"))):
                yield f"instance {instance['InstanceId']}"


def _data(asked: Asked) -> Iterator[str]:
    s3 = asked.client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        # By name first: others need not be asked for their tags.
        name = bucket["Name"]
        if name.startswith("mlops-") and asked.ours(_bucket_tags(s3, name)):
            yield f"bucket {name}"
    for found in pages(asked.client("rds"), "describe_db_instances", "DBInstances"):
        if asked.ours(found.get("TagList")):
            yield f"database {found['DBInstanceIdentifier']}"
    ecr = asked.client("ecr")
    for found in pages(ecr, "describe_repositories", "repositories"):
        if found["repositoryName"].startswith(f"{asked.cluster}/"):
            yield f"repository {found['repositoryName']}"


def _bucket_tags(s3: Any, name: str) -> list[dict[str, str]]:
    try:
        tags: list[dict[str, str]] = s3.get_bucket_tagging(Bucket=name)["TagSet"]
    except s3.exceptions.ClientError:
        return []
    return tags


def _others(asked: Asked) -> Iterator[str]:
    if cluster_exists(asked.stack, asked.region):
        yield f"EKS cluster {asked.cluster}"
    logs = asked.client("logs")
    prefix = f"/aws/eks/{asked.cluster}/"
    for found in logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]:
        yield f"log group {found['logGroupName']}"
    iam = asked.client("iam")
    for role in pages(iam, "list_roles", "Roles"):
        if asked.ours(iam.list_role_tags(RoleName=role["RoleName"])["Tags"]):
            yield f"role {role['RoleName']}"
    for profile in pages(iam, "list_instance_profiles", "InstanceProfiles"):
        name = profile["InstanceProfileName"]
        held = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"].get("Tags")
        if asked.ours(held):
            yield f"instance profile {name}"


def pages(client: Any, operation: str, key: str) -> Iterator[Any]:
    """Yield the items of all pages of an answer."""
    if not client.can_paginate(operation):
        yield from getattr(client, operation)()[key]
        return
    for page in client.get_paginator(operation).paginate():
        yield from page[key]
