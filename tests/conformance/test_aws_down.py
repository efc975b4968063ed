"""`make down` of a stack on AWS: leftovers, an interrupted destroy, a cluster that vanished first.

The stack's infra layer is really up, by the engine, in a moto server; a control plane without
nodes plays EKS's.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mlops_stack.rehearsal.moto_server import REGION
from mlops_toolchain import layout
from tests.conformance.aws_stack import NEEDS_PROGRAMS, AwsStack, aws_stack

__all__ = ["aws_stack"]

pytestmark = NEEDS_PROGRAMS


def test_leftovers_are_listed_and_fail_the_command_until_they_are_gone(stack: AwsStack) -> None:
    stack.up()
    planted = _plant(stack)
    down = stack.run("down")
    assert down.returncode == 1, down.stdout
    for wanted in planted:
        assert f"  {wanted}\n" in down.stdout, down.stdout
    _unplant(stack)
    again = stack.run("down")
    assert again.returncode == 0, again.stdout
    assert "leftovers: 0 " in again.stdout
    # Once more, of a stack that is not there any more.
    assert stack.run("down").returncode == 0


def test_an_interrupted_destroy_is_finished_by_the_next(stack: AwsStack) -> None:
    stack.up()
    state = layout.checkout() / f".state/pulumi/.pulumi/stacks/mlops-platform/{stack.name}.json"
    before = _resources(state)
    first = subprocess.Popen(
        stack.command("down"),
        env=stack.environ,
        cwd=layout.checkout(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while _resources(state) > before - 20 and time.monotonic() < end:
        time.sleep(0.05)
    # The engine with all of its plugins, with no time to write anything. Each plugin is in a group
    # of its own.
    killed = _session(first.pid)
    for process in killed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    first.wait()
    _wait_until_ended(killed)
    assert 0 < _resources(state) <= before - 20
    second = stack.run("down")
    assert second.returncode == 0, second.stdout
    assert "leftovers: 0 " in second.stdout
    assert not _session(first.pid)


def test_a_cluster_that_vanished_first_does_not_hold_up_the_rest(stack: AwsStack) -> None:
    stack.up()
    eks = stack.client("eks")
    cluster = f"mlops-{stack.name}"
    for group in eks.list_nodegroups(clusterName=cluster)["nodegroups"]:
        eks.delete_nodegroup(clusterName=cluster, nodegroupName=group)
    eks.delete_cluster(name=cluster)
    for name in ("kube-controller-manager", "kube-apiserver"):
        stack.plane.stop(name)
    down = stack.run("down")
    assert down.returncode == 0, down.stdout
    assert "the EKS cluster does not exist" in down.stdout
    assert "leftovers: 0 " in down.stdout


def _session(leader: int) -> list[int]:
    """Return the processes of a session, the leader first."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # pid (name) state parent group session: a name may hold anything.
            if int(stat.read_text().rpartition(")")[2].split()[3]) == leader:
                found.append(int(stat.parent.name))
    return sorted(found, key=lambda process: process != leader)


def _wait_until_ended(processes: list[int]) -> None:
    """Wait for killed processes: one with much memory takes a moment to give it back."""
    end = time.monotonic() + 30
    while any(_state(process) not in ("", "Z", "X") for process in processes):
        assert time.monotonic() < end
        time.sleep(0.05)


def _state(process: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    return ""


def _resources(state: Path) -> int:
    try:
        return len(json.loads(state.read_text())["checkpoint"]["latest"]["resources"])
    except (OSError, ValueError, KeyError):
        return sys.maxsize  # it is being written


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
