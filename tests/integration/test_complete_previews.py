"""The preview of stack dev, with no cluster and no credentials, has every resource of an update."""

import secrets

import pytest

from mlops_stack.pulumi_cli import Stack
from mlops_stack.review import plan
from mlops_stack.review.plan import LAYERS, Operation
from mlops_toolchain import layout
from tests.unit import recording


@pytest.mark.skipif(
    not (layout.bin_dir() / "pulumi").exists(),
    reason="needs the toolchain's pulumi; run `make toolchain`",
)
def test_every_resource_that_an_update_registers_is_in_the_preview() -> None:
    # An update registers what the program registers once every output is known: so do the mocks.
    registered = recording.program({"ephemeral": "true"})
    expected = {(r.typ, r.name) for r in registered.resources}
    stack = Stack(f"unit-{secrets.token_hex(3)}")
    stack.ensure()
    try:
        preview = stack.preview_events(*stack.policies())
    finally:
        stack.remove()
        for file in stack._config.parent.glob(f"Pulumi.{stack.name}.*"):
            file.unlink()
    found = plan.read(stack.name, preview.events)
    assert preview.succeeded
    assert not found.violations
    created = found.of(Operation.CREATE)
    assert expected - {("pulumi:pulumi:Stack", "mlops-platform-unit")} == {
        (change.type, change.name) for change in created
    }
    assert {change.layer for change in created} == set(LAYERS)
