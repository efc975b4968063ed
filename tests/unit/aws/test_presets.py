"""Sizes differ in data alone: the program asks no preset's name, and makes the same things."""

from typing import Any

import pulumi
import pytest

from mlops_infra.aws.presets import PRESETS
from mlops_stack.settings import SettingsError
from tests.unit import recording
from tests.unit.conftest import CHECKOUT

NAMES = tuple(PRESETS)


def _stack(preset: str) -> recording.Recorder:
    config = {
        "clusterProvider": "eks",
        "layers": "infra",
        "awsPreset": preset,
        "awsDatabase": "true",
        "owner": "owner@example.org",
    }
    return recording.program(config)


@pytest.fixture(scope="module")
def stacks() -> dict[str, recording.Recorder]:
    return {preset: _stack(preset) for preset in NAMES}


def test_only_the_way_out_of_the_network_has_other_resources(
    stacks: dict[str, recording.Recorder],
) -> None:
    made = {
        preset: {(r.typ, r.name) for r in stack.resources if not r.name.startswith("network-")}
        for preset, stack in stacks.items()
    }
    assert made["trial"] == made["team"] == made["production"]
    assert len(made["trial"]) > 80
    network = {
        preset: {(r.typ, r.name) for r in stack.resources if r.name.startswith("network-")}
        for preset, stack in stacks.items()
    }
    by_egress: dict[str, set[Any]] = {}
    for preset, found in network.items():
        assert by_egress.setdefault(PRESETS[preset].egress, found) == found
    assert len(by_egress) == 2


def test_no_code_asks_for_a_presets_name() -> None:
    where = [*(CHECKOUT / "infra").rglob("*.py"), CHECKOUT / "__main__.py"]
    asking = [
        str(file)
        for file in where
        if file.name != "presets.py" and any(f'"{preset}"' in file.read_text() for preset in NAMES)
    ]
    assert asking == []


def _lasting(**changed: str) -> recording.Recorder:
    config = {
        "clusterProvider": "eks",
        "layers": "infra",
        "awsPreset": "team",
        "awsDatabase": "true",
        "owner": "owner@example.org",
        **changed,
    }
    return recording.program(config)


def test_another_owner_or_expiry_changes_no_class_of_volumes() -> None:
    (before,) = _lasting(expires="2030-01-31").of(":StorageClass")
    (after,) = _lasting(expires="2031-01-31", owner="other@example.org").of(":StorageClass")
    assert before.inputs == after.inputs
    # Kubernetes lets neither change in a class that is there.
    assert before.inputs["parameters"]["tagSpecification_1"] == "mlops-platform/stack=unit"
    assert before.inputs["parameters"]["tagSpecification_2"] == "mlops-platform/snapshots=unit"
    tags = {k for k in before.inputs["parameters"] if k.startswith("tag")}
    assert tags == {"tagSpecification_1", "tagSpecification_2"}


@pytest.mark.parametrize(("ephemeral", "policy"), [("true", "Delete"), ("false", "Retain")])
def test_volumes_of_a_lasting_stack_outlive_their_claims(ephemeral: str, policy: str) -> None:
    (found,) = _lasting(ephemeral=ephemeral).of(":StorageClass")
    assert found.inputs["allowVolumeExpansion"] is True
    assert found.inputs["reclaimPolicy"] == policy


@pytest.mark.parametrize("preset", NAMES)
def test_volumes_of_a_lasting_stack_have_a_snapshot_of_each_day(preset: str) -> None:
    stack = _lasting(awsPreset=preset)
    (policy,) = stack.of("dlm/lifecyclePolicy:LifecyclePolicy")
    details = policy.inputs["policyDetails"]
    assert policy.inputs["state"] == "ENABLED"
    (schedule,) = details["schedules"]
    assert schedule["createRule"]["interval"] == 24
    assert schedule["retainRule"]["count"] == PRESETS[preset].volume_snapshots >= 3
    # The volumes of claims alone: their class gives them the tag, nodes' disks have none.
    (volumes,) = stack.of(":StorageClass")
    ((key, value),) = details["targetTags"].items()
    assert f"{key}={value}" in volumes.inputs["parameters"].values()
    for template in stack.of("ec2/launchTemplate:LaunchTemplate"):
        assert all(key not in tagged["tags"] for tagged in template.inputs["tagSpecifications"])


def test_an_ephemeral_stack_leaves_no_snapshots() -> None:
    assert not _lasting(ephemeral="true").of("dlm/lifecyclePolicy:LifecyclePolicy")


def test_an_add_on_has_the_version_that_is_pinned() -> None:
    stack = _lasting(awsAddonVersions="coredns=v1.12.1-eksbuild.2, vpc-cni=v1.20.1-eksbuild.1")
    versions = {
        addon.inputs["addonName"]: addon.inputs.get("addonVersion")
        for addon in stack.of("eks/addon:Addon")
    }
    assert versions == {
        "coredns": "v1.12.1-eksbuild.2",
        "vpc-cni": "v1.20.1-eksbuild.1",
        "kube-proxy": None,
        "eks-pod-identity-agent": None,
        "aws-ebs-csi-driver": None,
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("core-dns=v1.12.1-eksbuild.2", "no add-on 'core-dns'; there are vpc-cni, kube-proxy"),
        ("coredns=1.12", "'1.12' is no version of an add-on"),
        ("coredns", "'' is no version of an add-on"),
    ],
)
def test_a_wrong_add_on_is_refused(value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        _lasting(awsAddonVersions=value)


@pytest.mark.parametrize("ephemeral", ["true", "false"])
def test_the_database_leaves_a_snapshot_whether_it_was_released_or_not(ephemeral: str) -> None:
    (server,) = _lasting(ephemeral=ephemeral).of("rds/instance:Instance")
    assert server.inputs["skipFinalSnapshot"] is False
    assert server.inputs["finalSnapshotIdentifier"] == "mlops-unit-final-unit"


def test_a_database_that_is_asked_for_is_told_to_who_wants_to_use_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: dict[str, Any] = {}

    def export(name: str, value: Any) -> None:
        if name.startswith("database"):
            value.apply(lambda known: told.update({name: known}))

    monkeypatch.setattr(pulumi, "export", export)
    _lasting()
    assert told == {
        "database_address": "mlops-unit.rds.amazonaws.com",
        "database_secret_arn": "arn:aws:secretsmanager:eu-central-1:1:secret:unit",
    }
    told.clear()
    _lasting(awsDatabase="false")
    assert told == {}


@pytest.mark.parametrize("named", ["auto", "1.34.4", "1.37.2"])
def test_nodes_have_the_version_of_the_control_plane(named: str) -> None:
    found = _lasting(kubernetesVersion=named)
    (cluster,) = found.of("eks/cluster:Cluster")
    groups = found.of("eks/nodeGroup:NodeGroup")
    assert len(groups) == 3
    assert {group.inputs["version"] for group in groups} == {cluster.inputs["version"]}


def test_the_key_can_be_brought_back_for_as_long_as_aws_lets() -> None:
    (key,) = _lasting().of("kms/key:Key")
    assert key.inputs["deletionWindowInDays"] == 30


def test_the_account_is_the_providers_to_check() -> None:
    (provider,) = _lasting(awsAccount="123456789012").of("pulumi:providers:aws")
    assert provider.inputs["allowedAccountIds"] == '["123456789012"]'
    (provider,) = _lasting().of("pulumi:providers:aws")
    assert "allowedAccountIds" not in provider.inputs
