"""Deliberately bad changes of the program are stopped by `make preview`, with the rule's name."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlops_toolchain import layout
from tests.conformance.aws_stack import NEEDS_PROGRAMS, AwsStack, aws_stack

__all__ = ["aws_stack"]

pytestmark = NEEDS_PROGRAMS


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of one line of the program."""

    package: str
    file: str
    good: str
    bad: str


PUBLIC = Change(
    package="infra/mlops_infra",
    file="aws/buckets.py",
    good="block_public_policy=True",
    bad="block_public_policy=False",
)
WILDCARD = Change(
    package="infra/mlops_infra",
    file="aws/identity.py",
    good='"Action": keys',
    bad='"Action": ["s3:*"]',
)
LATEST = Change(
    package="platform/mlops_platform",
    file="mlflow.py",
    good='"name": "mlflow",\n                "image": args.image',
    bad='"name": "mlflow",\n                "image": "mlflow:latest"',
)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        pytest.param(PUBLIC, "no-public-bucket", id="public bucket"),
        pytest.param(LATEST, "fixed-image", id="latest tag"),
    ],
)
def test_a_bad_change_does_not_pass_the_first_preview(
    stack: AwsStack, tmp_path: Path, change: Change, rule: str
) -> None:
    stack.configure(layers="all", imageRegistry="registry.example.org/mlops")
    _refused(stack, _changed(tmp_path, change), rule)


def test_a_wildcard_does_not_get_into_a_stack_that_is_up(stack: AwsStack, tmp_path: Path) -> None:
    # Before the first update the policies' buckets have no names yet, and nothing can be judged.
    stack.up()
    good = stack.run("preview")
    assert good.returncode == 0, good.stdout
    _refused(stack, _changed(tmp_path, WILDCARD), "no-wildcard-iam")
    down = stack.run("down")
    assert down.returncode == 0, down.stdout


def _changed(folder: Path, change: Change) -> Path:
    """Return a folder with a copy of a package in which the change is made."""
    source = layout.checkout() / change.package
    copy = folder / "changed" / source.name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    changed = copy / change.file
    text = changed.read_text()
    assert text.count(change.good) == 1
    changed.write_text(text.replace(change.good, change.bad))
    return copy.parent


def _refused(stack: AwsStack, changed: Path, rule: str) -> None:
    preview = stack.run("preview", PYTHONPATH=str(changed))
    assert preview.returncode == 1, preview.stdout
    assert f"[mandatory]  {rule} " in preview.stdout, preview.stdout
