"""A preview of the AWS stack, without plugin or credentials, has all that an update makes."""

import functools
import secrets
from collections.abc import Iterator

import pytest

from mlops_infra.aws.presets import PRESETS
from mlops_stack.pulumi_cli import Stack
from mlops_stack.review import costs, offline_aws, plan
from mlops_stack.review.plan import LAYERS, Operation
from mlops_toolchain import layout
from tests.unit import recording

CONFIG = {
    "clusterProvider": "eks",
    "owner": "platform@example.org",
    "expires": "2030-01-31",
    "imageRegistry": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/mlops",
    "awsDatabase": "true",
    "pipelineSchedule": "0 0 3 * * *",
}


@functools.cache
def _registered(preset: str) -> recording.Recorder:
    """Return what an update registers: the program with every output known, as mocks do it."""
    return recording.program({**CONFIG, "awsPreset": preset})


@pytest.fixture
def stack() -> Iterator[Stack]:
    stack = Stack(f"unit-{secrets.token_hex(3)}")
    yield stack
    stack.remove()
    for file in stack._config.parent.glob(f"Pulumi.{stack.name}.*"):
        file.unlink()


@pytest.mark.skipif(
    not (layout.bin_dir() / "pulumi").exists(),
    reason="needs the toolchain's pulumi; run `make toolchain`",
)
# The one with a NAT gateway and the one with endpoints; a preview of each takes long.
@pytest.mark.parametrize("preset", ["trial", "production"])
def test_every_resource_that_an_update_registers_is_in_the_preview(
    stack: Stack, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable, raising=False)
    stack.ensure(**CONFIG, awsPreset=preset)
    with offline_aws.stand_in() as variables:
        preview = stack.preview_events(**variables)
    found = plan.read(stack.name, preview.events)
    assert preview.succeeded, found.errors
    created = found.of(Operation.CREATE)
    expected = {(r.typ, r.name) for r in _registered(preset).resources}
    assert expected - {("pulumi:pulumi:Stack", "mlops-platform-unit")} == {
        (change.type, change.name) for change in created
    }
    assert {change.layer for change in created} == set(LAYERS)
    assert costs.after(found).monthly > 200


@pytest.mark.parametrize("preset", PRESETS)
def test_it_is_known_how_aws_bills_everything_that_a_preset_makes(preset: str) -> None:
    """Only RDS's classes have no price: no source says engine, region and date of theirs."""
    made = [
        costs.Resource(type=r.typ, name=r.name, inputs=r.inputs)
        for r in _registered(preset).resources
    ]
    kinds = {resource.type for resource in made if resource.type.startswith("aws:")}
    assert len(kinds) > 30
    assert {kind for kind in kinds if not costs.is_known(kind)} == set()
    estimate = costs.estimate(made)
    assert set(estimate.unpriced) == {f"rds-{PRESETS[preset].database_class}"}  # type: ignore[index]
    assert {"eks-cluster", "kms-key", "ebs-gp3-gb", "secret"} <= estimate.prices
    assert "bytes and requests of buckets" in estimate.by_use
