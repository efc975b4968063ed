"""The life of one stack on AWS, from its first previews to what `make down` finds.

Deliberately bad changes of the program are stopped by `make preview`, with the rule's name. The
first preview, made without AWS, is held against the state after an update. The stack's infra layer
is really up, by the engine, in a moto server; a control plane without nodes plays EKS's. An update
takes long: the tests share it, in this order.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlops_stack.pulumi_cli import Stack
from mlops_stack.rehearsal.moto_server import REGION
from mlops_stack.review import offline_aws
from mlops_toolchain import layout
from tests.conformance.aws_stack import NEEDS_PROGRAMS, AwsStack, configured_stack

pytestmark = NEEDS_PROGRAMS


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of one line of the program."""

    package: str
    file: str
    good: str
    bad: str


PUBLIC = Change(
    package="infra/mlops_infra",
    file="aws/buckets.py",
    good="block_public_policy=True",
    bad="block_public_policy=False",
)
WILDCARD = Change(
    package="infra/mlops_infra",
    file="aws/identity.py",
    good='"Action": keys',
    bad='"Action": ["s3:*"]',
)
LATEST = Change(
    package="platform/mlops_platform",
    file="tracking/mlflow.py",
    good='"name": "mlflow",\n                "image": args.cluster.image("mlflow")',
    bad='"name": "mlflow",\n                "image": "mlflow:latest"',
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsStack]:
    with configured_stack(tmp_path_factory.mktemp("aws")) as stack:
        yield stack


@pytest.fixture(scope="module")
def foreseen(stack: AwsStack) -> dict[str, Any]:
    """Return the page of a preview before the first update, made without AWS."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    done = subprocess.run(
        [*stack.command("preview"), "--format", "json"],
        env={**bare, "AWS_EC2_METADATA_DISABLED": "true"},
        cwd=layout.checkout(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    page: dict[str, Any] = json.loads(done.stdout)
    return page


@pytest.fixture(scope="module")
def running(stack: AwsStack, foreseen: dict[str, Any]) -> Iterator[AwsStack]:
    """Return the stack once it is up."""
    assert foreseen
    stack.up()
    yield stack
    if Stack(stack.name).exists():
        stack.run("down")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        pytest.param(PUBLIC, "no-public-bucket", id="public bucket"),
        pytest.param(LATEST, "fixed-image", id="latest tag"),
    ],
)
def test_a_bad_change_does_not_pass_the_first_preview(
    stack: AwsStack, tmp_path: Path, change: Change, rule: str
) -> None:
    with stack.configured(layers="all", imageRegistry="registry.example.org/mlops"):
        _refused(stack, _changed(tmp_path, change), rule)


def test_every_resource_of_an_update_is_in_the_preview_without_aws(
    foreseen: dict[str, Any], running: AwsStack
) -> None:
    assert foreseen["notes"] == [offline_aws.NOTE]
    assert not foreseen["violations"]
    made = {str(resource["urn"]) for resource in Stack(running.name).resources()}
    assert {found["urn"] for found in foreseen["resources"] if found["layer"] != "stack"} == {
        # The provider of dynamic resources is the engine's own, which shows it to nobody.
        urn
        for urn in made
        if not urn.endswith("::default")
    }


def test_a_wildcard_does_not_get_into_a_stack_that_is_up(running: AwsStack, tmp_path: Path) -> None:
    # Before the first update the policies' buckets have no names yet, and nothing can be judged.
    good = running.run("preview")
    assert good.returncode == 0, good.stdout
    _refused(running, _changed(tmp_path, WILDCARD), "no-wildcard-iam")


def test_leftovers_are_listed_and_fail_the_command_until_they_are_gone(running: AwsStack) -> None:
    planted = _plant(running)
    down = running.run("down")
    assert down.returncode == 1, down.stdout
    for wanted in planted:
        assert f"  {wanted}\n" in down.stdout, down.stdout
    _unplant(running)
    again = running.run("down")
    assert again.returncode == 0, again.stdout
    assert "leftovers: 0 " in again.stdout
    # Once more, of a stack that is not there any more.
    assert running.run("down").returncode == 0


def _changed(folder: Path, change: Change) -> Path:
    """Return a folder with a copy of a package in which the change is made."""
    source = layout.checkout() / change.package
    copy = folder / "changed" / source.name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    changed = copy / change.file
    text = changed.read_text()
    assert text.count(change.good) == 1
    changed.write_text(text.replace(change.good, change.bad))
    return copy.parent


def _refused(stack: AwsStack, changed: Path, rule: str) -> None:
    preview = stack.run("preview", PYTHONPATH=str(changed))
    assert preview.returncode == 1, preview.stdout
    assert f"[mandatory]  {rule} " in preview.stdout, preview.stdout


def _plant(stack: AwsStack) -> list[str]:
    """Make one thing of each kind that controllers leave behind; return how they are listed."""
    ec2, elb, iam, s3 = map(stack.client, ("ec2", "elbv2", "iam", "s3"))
    cluster = [{"Key": f"kubernetes.io/cluster/mlops-{stack.name}", "Value": "owned"}]
    vpc = stack.vpc()
    subnet = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"][0]
    elb.create_load_balancer(Name="k8s-planted", Subnets=[subnet["SubnetId"]], Type="network")
    elb.create_target_group(Name="k8s-planted", Protocol="TCP", Port=80, VpcId=vpc)
    interface = ec2.create_network_interface(SubnetId=subnet["SubnetId"])["NetworkInterface"]
    group = ec2.create_security_group(GroupName="k8s-planted", Description="planted", VpcId=vpc)
    volume = ec2.create_volume(
        AvailabilityZone=f"{REGION}a",
        Size=1,
        TagSpecifications=[{"ResourceType": "volume", "Tags": cluster}],
    )
    address = ec2.allocate_address(
        Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": stack.tag}]
    )
    log = f"/aws/eks/mlops-{stack.name}/planted"
    stack.client("logs").create_log_group(logGroupName=log)
    bucket = f"mlops-{stack.name}-planted"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": stack.tag})
    iam.create_instance_profile(InstanceProfileName="planted", Tags=stack.tag)
    return [
        "load balancer k8s-planted",
        "target group k8s-planted",
        f"interface {interface['NetworkInterfaceId']}",
        f"security group {group['GroupId']}",
        f"volume {volume['VolumeId']}",
        f"elastic IP {address['AllocationId']}",
        f"log group {log}",
        f"bucket {bucket}",
        "instance profile planted",
    ]


def _unplant(stack: AwsStack) -> None:
    ec2, elb, iam, s3 = map(stack.client, ("ec2", "elbv2", "iam", "s3"))
    for balancer in elb.describe_load_balancers()["LoadBalancers"]:
        elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    for target in elb.describe_target_groups()["TargetGroups"]:
        elb.delete_target_group(TargetGroupArn=target["TargetGroupArn"])
    for interface in ec2.describe_network_interfaces()["NetworkInterfaces"]:
        ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
    for group in ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["k8s-planted"]}]
    )["SecurityGroups"]:
        ec2.delete_security_group(GroupId=group["GroupId"])
    for volume in ec2.describe_volumes()["Volumes"]:
        ec2.delete_volume(VolumeId=volume["VolumeId"])
    for address in ec2.describe_addresses()["Addresses"]:
        ec2.release_address(AllocationId=address["AllocationId"])
    stack.client("logs").delete_log_group(logGroupName=f"/aws/eks/mlops-{stack.name}/planted")
    s3.delete_bucket(Bucket=f"mlops-{stack.name}-planted")
    iam.delete_instance_profile(InstanceProfileName="planted")
