"""Events to a plan, a plan to a page, and what it costs."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_stack.review import costs, data_at_risk, markdown, plan, summary, values
from mlops_stack.review.plan import Operation, Plan

ROOT = "urn:pulumi:dev::mlops-platform::pulumi:pulumi:Stack::mlops-platform-dev"


def _urn(kind: str, name: str) -> str:
    return f"urn:pulumi:dev::mlops-platform::{kind}::{name}"


def _step(op: str, kind: str, name: str = "it", **keys: Any) -> dict[str, Any]:
    urn = _urn(kind, name)
    parent = keys.pop("parent", ROOT)
    states = {
        state: None if inputs is None else {"urn": urn, "parent": parent, "inputs": inputs}
        for state, inputs in (("old", keys.pop("old", None)), ("new", keys.pop("new", None)))
    }
    return {"resourcePreEvent": {"metadata": {"op": op, "urn": urn, **states, **keys}}}


def _plan(*events: dict[str, Any]) -> Plan:
    return plan.read("dev", events)


@pytest.mark.parametrize(
    ("kind", "parent", "layer"),
    [
        ("kubernetes:core/v1:Service", _urn("mlops:platform:Mlflow", "p"), "platform"),
        ("mlops:workloads:Thing", ROOT, "workloads"),
        ("aws:kms/key:Key", ROOT, "infra"),
        ("pulumi-python:dynamic/mlops:Dataset", ROOT, "workloads"),
        ("random:thing:Thing", ROOT, "infra"),
    ],
)
def test_a_resource_belongs_to_the_layer_of_the_component_above(
    kind: str, parent: str, layer: str
) -> None:
    events = [
        _step("create", "mlops:platform:Mlflow", "p", new={}),
        _step("create", kind, new={}, parent=parent),
    ]
    assert _plan(*events).changes[-1].layer == layer


def test_the_steps_of_a_replacement_are_one_change_with_its_reason() -> None:
    kind = "aws:ebs/volume:Volume"
    detail = {
        "size": {"diffKind": "update", "inputDiff": True},
        'tags["a.b/c"]': {"diffKind": "update-replace", "inputDiff": True},
    }
    old = {"size": 1, "tags": {"a.b/c": "x"}}
    new = {"size": 2, "tags": {"a.b/c": "y"}}
    keys = {"old": old, "new": new, "keys": ["tags"], "diffs": ["size", "tags"]}
    found = _plan(
        _step("create-replacement", kind, **keys, detailedDiff=detail),
        _step("replace", kind, **keys, detailedDiff=detail),
        _step("delete-replaced", kind, old=old),
    )
    (change,) = found.changes
    assert change.operation is Operation.REPLACE
    assert [(d.path, d.old, d.new, d.forces_replacement) for d in change.differences] == [
        ("size", "1", "2", False),
        ('tags["a.b/c"]', "x", "y", True),
    ]
    assert data_at_risk.endangered(found.changes) == (change,)
    assert "WARNING" in markdown.render(found)


def test_secrets_are_masked_whether_marked_or_only_named() -> None:
    found = _plan(
        _step(
            "update",
            "x:y:Z",
            parent=_urn("mlops:infra:A", "a"),
            old={"plain": "[secret]", "dbPassword": "hunter2", "o": {"apiKey": "k1"}},
            new={"plain": "[secret]", "dbPassword": "hunter3", "o": {"apiKey": "k2"}},
            diffs=["plain", "dbPassword", "o.apiKey"],
        ),
    )
    assert {(d.old, d.new) for d in found.changes[0].differences} == {("(secret)", "(secret)")}


def test_unknown_values_say_so() -> None:
    from pulumi.runtime.rpc import UNKNOWN  # noqa: PLC0415

    assert UNKNOWN in values.UNKNOWN
    assert values.show("a", UNKNOWN) == "(known after up)"
    assert values.first("a.b", ({"a": UNKNOWN},)) == UNKNOWN


def test_errors_and_violations_are_read() -> None:
    found = _plan(
        {
            "policyEvent": {
                "resourceUrn": _urn("a:b:C", "it"),
                "message": "<{%reset%}>wrong<{%reset%}>",
                "policyName": "rule",
                "enforcementLevel": "mandatory",
            }
        },
        {"diagnosticEvent": {"severity": "error", "message": "broken\n"}},
        {"diagnosticEvent": {"severity": "info", "message": "fine"}},
    )
    assert found.blocked
    assert found.violations[0].message == "wrong"
    assert found.errors == ("broken",)


@given(st.text(max_size=40))
def test_no_name_breaks_out_of_its_code(text: str) -> None:
    shown = markdown.code(text)
    fence = shown[: len(shown) - len(shown.lstrip("`"))]
    assert "\n" not in shown
    if text.strip():
        assert fence not in " ".join(text.split()) or not " ".join(text.split())


@given(st.text(max_size=40))
def test_no_message_becomes_markup(text: str) -> None:
    shown = markdown.plain(text).replace("<br>", "")
    assert not set("<>`[]*@") & set(shown)


_DISK = {"blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"volumeSize": 50}}]}


def _aws() -> list[dict[str, Any]]:
    return [
        _step("create", "aws:eks/cluster:Cluster", "c", new={}),
        _step("create", "aws:ec2/natGateway:NatGateway", "n", new={}),
        _step("same", "aws:kms/key:Key", "k", old={}, new={}),
        _step("same", "aws:ec2/launchTemplate:LaunchTemplate", "g", old=_DISK, new=_DISK),
        _step(
            "update",
            "aws:eks/nodeGroup:NodeGroup",
            "g",
            old={"instanceTypes": ["m6i.large"], "scalingConfig": {"desiredSize": 1}},
            new={"instanceTypes": ["m6i.large"], "scalingConfig": {"desiredSize": 3}},
        ),
        _step(
            "create",
            "aws:eks/nodeGroup:NodeGroup",
            "gpu",
            new={
                "instanceTypes": ["p9.huge"],
                "scalingConfig": {"desiredSize": 0},
                "capacityType": "SPOT",
            },
        ),
        _step(
            "create",
            "aws:rds/instance:Instance",
            "db",
            new={"instanceClass": "db.x", "storageType": "gp3", "allocatedStorage": 20},
        ),
    ]


def test_the_cost_is_the_sum_of_the_table_and_says_what_is_not_in_it() -> None:
    found = _plan(*_aws())
    # cluster 73.00, NAT 32.85, key 1.00, three nodes of 70.08 with 50 GB of 0.08, 20 GB of 0.115
    assert costs.after(found).monthly == Decimal("331.39")
    assert costs.before(found).monthly == Decimal("75.08")
    # A group scaled to zero costs nothing, whatever its price.
    assert costs.after(found).unpriced == ("rds-db.x",)
    page = markdown.render(found)
    assert "**$331.39 a month**, +$256.31 against the stack as deployed" in page
    assert "Billed, but price not known: `rds-db.x`." in page
    assert "Usage-based, not counted: " in page
    assert "bytes through NAT gateways" in page


def test_a_type_of_aws_that_nobody_has_thought_of_is_named() -> None:
    found = _plan(_step("create", "aws:sagemaker/domain:Domain", "d", new={}))
    assert costs.after(found).unpriced == ("aws:sagemaker/domain:Domain",)
    assert "Billed, but price not known: `aws:sagemaker/domain:Domain`." in markdown.render(found)


def test_every_price_says_when_and_where_it_was_read() -> None:
    assert len(costs.table()) >= 10
    for name, price in costs.table().items():
        assert price.monthly > 0, name
        assert price.source.startswith("https://"), name
        assert price.as_of.startswith("20"), name


def test_a_summary_is_a_base(tmp_path: Path) -> None:
    file = tmp_path / "base.json"
    file.write_text(summary.render(_plan(*_aws())))
    base = summary.read_base(file)
    assert base.monthly == Decimal("331.39")
    page = markdown.render(_plan(*_aws()[1:], _step("create", "mlops:infra:New", new={})), base)
    assert "-$73.00 against the base" in page
    assert "- new: `mlops:infra:New::it`" in page
    assert "- gone: `aws:eks/cluster:Cluster::c`" in page


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 9}', "null"])
def test_what_is_no_base_is_refused_with_the_remedy(tmp_path: Path, text: str) -> None:
    file = tmp_path / "base.json"
    file.write_text(text)
    with pytest.raises(summary.BaseError, match="make preview FORMAT=json"):
        summary.read_base(file)
