"""What is left in AWS is found, wherever it was planted; what is others' is not named."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from mlops_stack.aws_leftovers import leftovers

REGION = "eu-central-1"
OURS = [{"Key": "mlops-platform/stack", "Value": "one"}]
CLUSTER = [{"Key": "kubernetes.io/cluster/mlops-one", "Value": "owned"}]


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


def _client(service: str) -> Any:
    make: Any = boto3.client
    return make(service, region_name=REGION)


def _tagged(kind: str, tags: list[dict[str, str]]) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": tags}]


def _vpc(tags: list[dict[str, str]]) -> tuple[str, str]:
    ec2 = _client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=_tagged("vpc", tags))
    identity = vpc["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=identity, CidrBlock="10.9.0.0/20")
    return identity, subnet["Subnet"]["SubnetId"]


def test_an_account_without_the_stack_has_nothing_left() -> None:
    _vpc([{"Key": "mlops-platform/stack", "Value": "two"}])
    _client("s3").create_bucket(
        Bucket="mlops-two-data", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    assert leftovers("one", REGION) == []


def test_what_stands_in_the_vpc_is_found_without_tags_of_its_own() -> None:
    vpc, subnet = _vpc(OURS)
    ec2 = _client("ec2")
    interface = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]
    group = ec2.create_security_group(GroupName="k8s-x", Description="x", VpcId=vpc)["GroupId"]
    elb = _client("elbv2")
    elb.create_load_balancer(Name="k8s-web", Subnets=[subnet], Type="network")
    elb.create_target_group(Name="k8s-web", Protocol="TCP", Port=80, VpcId=vpc)
    found = leftovers("one", REGION)
    for wanted in (
        f"VPC {vpc}",
        f"subnet {subnet}",
        f"interface {interface['NetworkInterfaceId']}",
        f"security group {group}",
        "load balancer k8s-web",
        "target group k8s-web",
    ):
        assert wanted in found


def test_what_kubernetes_made_is_found_by_the_clusters_tag() -> None:
    volume = _client("ec2").create_volume(
        AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=_tagged("volume", CLUSTER)
    )["VolumeId"]
    assert leftovers("one", REGION) == [f"volume {volume}"]


def test_what_bears_the_stacks_tag_is_found() -> None:
    address = _client("ec2").allocate_address(
        Domain="vpc", TagSpecifications=_tagged("elastic-ip", OURS)
    )["AllocationId"]
    s3 = _client("s3")
    s3.create_bucket(
        Bucket="mlops-one-data", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    s3.put_bucket_tagging(Bucket="mlops-one-data", Tagging={"TagSet": OURS})
    _client("logs").create_log_group(logGroupName="/aws/eks/mlops-one/cluster")
    iam = _client("iam")
    iam.create_instance_profile(InstanceProfileName="nodes", Tags=OURS)
    iam.create_role(RoleName="reader", AssumeRolePolicyDocument="{}", Tags=OURS)
    _client("ecr").create_repository(repositoryName="mlops-one/mlflow")
    assert sorted(leftovers("one", REGION)) == sorted(
        [
            f"elastic IP {address}",
            "bucket mlops-one-data",
            "log group /aws/eks/mlops-one/cluster",
            "instance profile nodes",
            "role reader",
            "repository mlops-one/mlflow",
        ]
    )
