"""The first preview of a stack on AWS, made without AWS, against the state after an update."""

import json
import os
import subprocess

from mlops_stack.previews import without_aws
from mlops_stack.pulumi_cli import Stack
from mlops_toolchain import layout
from tests.conformance.aws_stack import NEEDS_PROGRAMS, AwsStack, aws_stack

__all__ = ["aws_stack"]

pytestmark = NEEDS_PROGRAMS


def test_every_resource_of_an_update_is_in_the_preview_without_aws(stack: AwsStack) -> None:
    bare = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    foreseen = subprocess.run(
        [*stack.command("preview"), "--format", "json"],
        env={**bare, "AWS_EC2_METADATA_DISABLED": "true"},
        cwd=layout.checkout(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert foreseen.returncode == 0, foreseen.stdout + foreseen.stderr
    page = json.loads(foreseen.stdout)
    assert page["notes"] == [without_aws.NOTE]
    assert not page["violations"]
    stack.up()
    made = {str(resource["urn"]) for resource in Stack(stack.name).resources()}
    assert {found["urn"] for found in page["resources"] if found["layer"] != "stack"} == {
        # The provider of dynamic resources is the engine's own, which shows it to nobody.
        urn
        for urn in made
        if not urn.endswith("::default")
    }
    assert stack.run("down").returncode == 0
