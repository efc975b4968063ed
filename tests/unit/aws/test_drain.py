"""Nodes and add-ons stay until load balancers and volumes are gone."""

from typing import Any

import pytest

from mlops_infra.aws.drain import DrainError, drain, released, remaining

BALANCER = {"metadata": {"namespace": "a", "name": "web"}, "spec": {"type": "LoadBalancer"}}
INTERNAL = {"metadata": {"namespace": "a", "name": "db"}, "spec": {"type": "ClusterIP"}}
VOLUME = {
    "metadata": {"name": "pvc-1"},
    "spec": {
        "persistentVolumeReclaimPolicy": "Delete",
        "claimRef": {"namespace": "a", "name": "data"},
    },
}
KEPT = {"metadata": {"name": "old"}, "spec": {"persistentVolumeReclaimPolicy": "Retain"}}


def test_what_has_something_of_aws_behind_it_is_named() -> None:
    cluster = {"services": [BALANCER, INTERNAL], "persistentvolumes": [VOLUME, KEPT]}
    assert remaining(lambda kind: cluster.get(kind, [])) == [
        "Service a/web",
        "volume pvc-1 of claim a/data",
    ]


def test_draining_ends_when_the_last_is_gone() -> None:
    volumes = [[VOLUME], [VOLUME], []]

    def ask(kind: str) -> list[dict[str, Any]]:
        return volumes.pop(0) if kind == "persistentvolumes" else []

    drain(ask, pause=0)
    assert volumes == []


def test_what_stays_is_named_with_the_remedy() -> None:
    with pytest.raises(DrainError, match=r"volume pvc-1 of claim a/data.*run `make down` again"):
        drain(lambda kind: [VOLUME] if kind == "persistentvolumes" else [], seconds=0, pause=0)


def test_only_volumes_that_their_claims_have_left_are_let_go() -> None:
    def volume(name: str, phase: str, driver: str = "ebs.csi.aws.com") -> dict[str, Any]:
        return {
            "metadata": {"name": name},
            "spec": {"persistentVolumeReclaimPolicy": "Retain", "csi": {"driver": driver}},
            "status": {"phase": phase},
        }

    volumes = [
        volume("left", "Released"),
        volume("used", "Bound"),
        volume("theirs", "Released", "nfs.csi.k8s.io"),
        VOLUME,
    ]
    assert released(lambda _: volumes) == ["left"]
