"""What an update of a lasting stack would take away, and what it says of it."""

from typing import Any

import pulumi
import pytest

from mlops_stack import lasting, ownership
from mlops_stack.review.plan import Change, Difference, Operation, Plan
from tests.unit import recording

PREFIX = "urn:pulumi:t::mlops-platform::"
CLUSTER = f"{PREFIX}pulumi-python:dynamic/mlops:EmbeddedCluster::cluster-node"
CLAIM = f"{PREFIX}mlops:infra:S3Gateway$kubernetes:core/v1:PersistentVolumeClaim::s3-data"
SERVICE = f"{PREFIX}mlops:infra:S3Gateway$kubernetes:core/v1:Service::s3-service"


def _resource(urn: str, **inputs: Any) -> dict[str, Any]:
    return {"urn": urn, "type": urn.split("::")[2].rpartition("$")[2], "inputs": inputs}


def _change(urn: str, operation: Operation, *differences: Difference) -> Change:
    return Change(urn=urn, layer="infra", operation=operation, differences=differences)


STATE = [_resource(CLUSTER), _resource(CLAIM), _resource(SERVICE)]
NETWORK = Difference(path="network", old="auto", new="10.230.0.0/16", forces_replacement=True)
MOVED = Plan(
    stack="t",
    changes=(
        _change(CLUSTER, Operation.REPLACE, NETWORK),
        _change(CLAIM, Operation.REPLACE),
        _change(SERVICE, Operation.REPLACE),
    ),
)


def test_the_cluster_comes_first_with_the_setting_that_is_the_cause() -> None:
    (first, text), (second, _) = lasting.losses(MOVED, reversed(STATE))
    assert (first, second) == ("cluster-node", "s3-data")
    assert "would be replaced: network auto → 10.230.0.0/16 (setting clusterNetwork)" in text


def test_a_cluster_that_may_go_takes_along_what_is_in_it() -> None:
    assert lasting.losses(MOVED, STATE, allowed=frozenset({"cluster-node"})) == []


def test_only_the_named_resource_may_go() -> None:
    plan = Plan(
        stack="t",
        changes=(_change(CLUSTER, Operation.SAME), _change(CLAIM, Operation.REPLACE)),
    )
    assert [name for name, _ in lasting.losses(plan, STATE)] == ["s3-data"]
    assert lasting.losses(plan, STATE, allowed=frozenset({"s3-data"})) == []
    assert lasting.losses(plan, STATE, allowed=frozenset({"other"}))


def test_what_leaves_the_program_is_lost_with_or_without_a_step() -> None:
    without = Plan(stack="t", changes=(_change(CLUSTER, Operation.SAME),))
    deleted = Plan(
        stack="t",
        changes=(_change(CLUSTER, Operation.SAME), _change(CLAIM, Operation.DELETE)),
    )
    for plan in (without, deleted):
        ((name, text),) = lasting.losses(plan, STATE)
        assert name == "s3-data"
        assert "would be deleted" in text


def test_an_update_in_place_loses_nothing() -> None:
    plan = Plan(
        stack="t",
        changes=tuple(_change(r["urn"], Operation.UPDATE) for r in STATE),
    )
    assert lasting.losses(plan, STATE) == []


@pytest.mark.parametrize(
    ("kind", "inputs", "holds"),
    [
        ("kubernetes:core/v1:PersistentVolumeClaim", {}, True),
        ("kubernetes:core/v1:Namespace", {"metadata": {"name": "mlflow"}}, True),
        ("kubernetes:core/v1:Namespace", {"metadata": {"name": "seldon"}}, False),
        ("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", {}, False),
        ("pulumi-python:dynamic/mlops:Credentials", {}, True),
        ("aws:s3/bucket:Bucket", {}, True),
        ("aws:kms/key:Key", {}, True),
        ("kubernetes:apps/v1:Deployment", {}, False),
    ],
)
def test_what_nothing_makes_again_holds_data(
    kind: str, inputs: dict[str, Any], *, holds: bool
) -> None:
    assert lasting.holds_data(kind, inputs) is holds


def test_the_namespace_of_every_claim_holds_data() -> None:
    stack = recording.program({"ephemeral": "true", "notebooks": "false"})
    namespaces = {
        claim.inputs["metadata"]["namespace"] for claim in stack.of(":PersistentVolumeClaim")
    }
    assert namespaces == {"object-storage", "mlflow", "kubeflow"}
    for name in namespaces:
        assert lasting.holds_data("kubernetes:core/v1:Namespace", {"metadata": {"name": name}})


@pytest.mark.parametrize(
    ("ephemeral", "replace", "expected"),
    [
        (False, "", {"cluster": True, "credentials": True}),
        (True, "", {"cluster": False, "credentials": False}),
        (False, "credentials", {"cluster": True, "credentials": False}),
        (False, "*", {"cluster": False, "credentials": False}),
    ],
)
def test_what_holds_data_is_protected_in_a_lasting_stack(
    *, ephemeral: bool, replace: str, expected: dict[str, bool]
) -> None:
    seen: dict[str, bool | None] = {}

    class Noting(pulumi.Resource):
        pass

    def note(args: pulumi.ResourceTransformationArgs) -> None:
        seen[args.name] = args.opts.protect

    def program() -> None:
        lasting.protect(ephemeral=ephemeral)
        # Runs after the first, on what that has made of the options.
        pulumi.runtime.register_stack_transformation(note)
        for kind, name in (
            ("pulumi-python:dynamic/mlops:EmbeddedCluster", "cluster"),
            ("pulumi-python:dynamic/mlops:Credentials", "credentials"),
            ("kubernetes:apps/v1:Deployment", "deployment"),
        ):
            pulumi.CustomResource(kind, name, {})

    recording.run(program, config={"replace": replace})
    assert seen == {**expected, "deployment": None}


def test_a_plain_command_reads_the_id_from_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership.Stack, "stack_id", lambda _self: "from the state")
    found: list[str] = []
    recording.run(lambda: found.append(ownership.claim_of_program().stack_id))
    recording.run(
        lambda: found.append(ownership.claim_of_program().stack_id), config={"stackId": "told"}
    )
    assert found == ["from the state", "told"]
