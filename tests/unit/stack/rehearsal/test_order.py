"""The order of a destroy, read from the engine's events."""

import json
from pathlib import Path

from mlops_stack.rehearsal.order import Deletion, deletions, problems

GOOD = (
    ("pulumi-python:dynamic/mlops:PipelineVersion", "version"),
    ("kubernetes:apps/v1:Deployment", "server"),
    ("kubernetes:core/v1:PersistentVolumeClaim", "data"),
    ("pulumi-python:dynamic/mlops:Drain", "drain"),
    ("aws:eks/podIdentityAssociation:PodIdentityAssociation", "identity-kfp"),
    ("aws:eks/addon:Addon", "eks-coredns"),
    ("aws:eks/nodeGroup:NodeGroup", "eks-system"),
    ("aws:eks/cluster:Cluster", "eks-control-plane"),
    ("aws:ec2/vpc:Vpc", "network-vpc"),
    ("pulumi-python:dynamic/mlops:Dataset", "flights"),
    ("aws:s3/bucketVersioning:BucketVersioning", "buckets-datasets-versions"),
)


def _in_turn(resources: tuple[tuple[str, str], ...]) -> list[Deletion]:
    return [
        Deletion(type=kind, name=name, began=2 * i, ended=2 * i + 1)
        for i, (kind, name) in enumerate(resources)
    ]


def test_the_right_order_has_no_problem() -> None:
    assert problems(_in_turn(GOOD)) == []


def test_nodes_before_volumes_are_named() -> None:
    nodes_first = (GOOD[6], *GOOD[:6], *GOOD[7:])
    assert problems(_in_turn(nodes_first)) == [
        "nodes (eks-system) went before controllers (eks-coredns)"
    ]


def test_data_outlives_no_protection_of_its_bucket() -> None:
    assert problems(_in_turn((*GOOD[:-2], GOOD[-1], GOOD[-2]))) == [
        "protections of their bucket (buckets-datasets-versions) went before data sets (flights)"
    ]


def test_two_at_once_are_no_order() -> None:
    seen = _in_turn(GOOD)
    drain, addon = seen[3], seen[5]
    seen[5] = Deletion(type=addon.type, name=addon.name, began=drain.began, ended=addon.ended)
    assert problems(seen) == ["controllers (eks-coredns) went before drains (drain)"]


def test_a_stage_without_a_deletion_proves_nothing() -> None:
    assert problems(_in_turn(GOOD[:3] + GOOD[4:])) == ["no drains were deleted"]


def test_deletions_are_read_from_the_engines_log(tmp_path: Path) -> None:
    urn = "urn:pulumi:s::p::aws:ec2/vpc:Vpc::network-vpc"
    metadata = {"op": "delete", "urn": urn, "type": "aws:ec2/vpc:Vpc"}
    events = [
        {"preludeEvent": {}},
        {"resourcePreEvent": {"metadata": metadata}},
        {"resOutputsEvent": {"metadata": metadata}},
    ]
    log = tmp_path / "events"
    log.write_text("\n".join(map(json.dumps, events)))
    assert deletions(log) == [
        Deletion(type="aws:ec2/vpc:Vpc", name="network-vpc", began=1, ended=2)
    ]
