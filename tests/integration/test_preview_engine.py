"""Previews through the real engine: policies that stop them, replacements, secrets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_policies.rules import PolicyConfigError
from mlops_stack.pulumi_cli import Stack
from mlops_stack.review import costs, markdown, plan, summary
from mlops_stack.review.command import preview
from mlops_stack.review.plan import Operation, Plan
from mlops_toolchain import images, layout

PULUMI = layout.bin_dir() / "pulumi"
CHECKOUT = layout.checkout()
SECRET = "correct-horse-battery-staple"

pytestmark = pytest.mark.skipif(
    not PULUMI.exists(), reason="needs the toolchain's pulumi; run `make toolchain`"
)

# The engine shows a component's inputs to the policies whatever its type: no AWS is needed.
BAD = """
import json
import pulumi

class Declared(pulumi.ComponentResource):
    def __init__(self, kind, name, props):
        super().__init__(kind, name, props)

allow = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
Declared("aws:s3/bucketAcl:BucketAcl", "open", {"acl": "public-read"})
Declared("aws:iam/rolePolicy:RolePolicy", "mighty", {"policy": json.dumps(allow)})
Declared("kubernetes:core/v1:Pod", "moving", {"spec": {"containers": [
    {"name": "c", "image": "app:latest",
     "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]}})
"""

DEPLOYED = """
import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider

class Provider(ResourceProvider):
    serialize_as_secret_always = False
    def create(self, props):
        return CreateResult("one", props)
    def diff(self, id, olds, news):
        changed = [k for k in news if k != "__provider" and olds.get(k) != news[k]]
        return DiffResult(changes=bool(changed), replaces=[k for k in changed if k == "bucket"])

class Bucket(Resource, module="mlops", name="Bucket"):
    def __init__(self, name, props, opts=None):
        super().__init__(Provider(), name, props, opts)

class Layer(pulumi.ComponentResource):
    def __init__(self):
        super().__init__("mlops:infra:Buckets", "buckets")

config = pulumi.Config()
layer = Layer()
Bucket("data", {
    "bucket": config.require("bucket"),
    "owner": config.require("owner"),
    "key": pulumi.Output.secret(config.require("key")),
}, pulumi.ResourceOptions(parent=layer))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, with the checkout's tools."""
    python = Path(sys.prefix)
    (tmp_path / "Pulumi.yaml").write_text(
        "name: mlops-platform\n"
        f"runtime: {{name: python, options: {{virtualenv: {json.dumps(str(python))}}}}}\n"
    )
    (tmp_path / ".toolchain").mkdir()
    (tmp_path / ".toolchain/bin").symlink_to(layout.bin_dir())
    (tmp_path / ".venv").symlink_to(python)
    monkeypatch.setattr(layout, "checkout", lambda: tmp_path)
    # Whose keys are those of sources that this project does not have.
    monkeypatch.setattr(images, "is_there", lambda _: True)
    return tmp_path


def _write(project: Path, program: str, **config: str) -> Stack:
    (project / "__main__.py").write_text(program)
    lines = [f"  mlops-platform:{key}: {json.dumps(value)}" for key, value in config.items()]
    (project / "Pulumi.dev.yaml").write_text("\n".join(["config:", *lines]) + "\n")
    stack = Stack("dev")
    stack.ensure()
    return stack


def _plan(stack: Stack) -> Plan:
    return plan.read(stack.name, stack.preview_events(*stack.policies()).events)


def test_a_bad_change_is_stopped_with_rule_resource_and_remedy(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stack = _write(project, BAD)
    assert preview(stack, form="markdown") is False
    page = capfd.readouterr().out
    assert "Stopped by policy" in page
    for rule, resource, remedy in (
        ("no-public-bucket", "open", "Block all public access"),
        ("no-wildcard-iam", "mighty", "List the actions"),
        ("fixed-image", "moving", "Use a version that is never moved"),
    ):
        lines = [line for line in page.splitlines() if f"`{rule}`" in line]
        assert lines
        for line in lines:
            assert line.startswith("- ❌ mandatory")
            assert f"`{resource}`" in line
            assert remedy in line


def test_a_stack_may_choose_to_be_advised(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stack = _write(project, BAD, policies="advisory")
    assert preview(stack, form="markdown") is True
    page = capfd.readouterr().out
    assert page.count("⚠️ advisory") == 4
    assert "❌" not in page


def test_a_wrong_choice_is_named(project: Path) -> None:
    stack = _write(project, BAD, advisoryPolicies="no-such-rule")
    with pytest.raises(PolicyConfigError, match="no-such-rule; the rules are"):
        preview(stack, form="markdown")


def test_replacement_change_and_secret(project: Path) -> None:
    stack = _write(project, DEPLOYED, bucket="a", owner="me", key=SECRET)
    subprocess.run(
        [PULUMI, "up", "--yes", "--skip-preview", "--stack", "dev", "--config-file", stack._config],
        cwd=project,
        env=stack._environment,
        check=True,
        capture_output=True,
    )
    assert not any(c.operation is not Operation.SAME for c in _plan(stack).changes)

    stack = _write(project, DEPLOYED, bucket="a", owner="you", key=SECRET)
    (changed,) = _plan(stack).of(Operation.UPDATE)
    assert [(d.path, d.old, d.new) for d in changed.differences] == [("owner", "me", "you")]

    stack = _write(project, DEPLOYED, bucket="b", owner="me", key=f"{SECRET}-2")
    found = _plan(stack)
    (replaced,) = found.of(Operation.REPLACE)
    assert replaced.layer == "infra"
    assert [d.path for d in replaced.differences if d.forces_replacement] == ["bucket"]
    page = markdown.render(found)
    assert "`bucket`: `a` → `b`" in page
    assert "> - `data` (pulumi-python:dynamic/mlops:Bucket): **replaced**" in page
    assert SECRET not in page + summary.render(found)

    stack = _write(project, "")
    found = _plan(stack)
    assert {c.name for c in found.of(Operation.DELETE)} == {"buckets", "data"}
    assert "**deleted**" in markdown.render(found)
    assert costs.after(found).monthly == 0
    subprocess.run(
        [PULUMI, "destroy", "--yes", "--skip-preview", "--stack", "dev"],
        cwd=project,
        env=stack._environment,
        check=True,
        capture_output=True,
    )
