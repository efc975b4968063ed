"""What is given wrongly is refused before the toolchain builds anything for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_stack import checks, environment
from mlops_stack.backup.errors import ArchiveError
from mlops_stack.environments import creation
from mlops_stack.pulumi_cli import Stack
from mlops_stack.review.summary import BaseError
from mlops_stack.settings import SettingsError
from mlops_toolchain import layout

PROJECT = "mlops-platform"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout for which nothing has been built: there is no Pulumi either."""
    monkeypatch.setattr(layout, "checkout", lambda: tmp_path)
    monkeypatch.setattr(environment, "variables", lambda: {"PATH": str(tmp_path / "nothing")})
    return tmp_path


def configure(checkout: Path, stack: str, **values: object) -> Stack:
    lines = [f"  {PROJECT}:{key}: {value}\n" for key, value in values.items()]
    (checkout / f"Pulumi.{stack}.yaml").write_text("".join(["config:\n", *lines]))
    return Stack(stack)


def test_a_right_configuration_passes_without_pulumi(checkout: Path) -> None:
    checks.up(configure(checkout, "dev", ephemeral="true"))
    checks.up(Stack("without-a-file"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"mlflowStorageSize": "2 GB"}, "mlflowStorageSize: not a Kubernetes quantity"),
        ({"mlflowSize": "2Gi"}, "unknown configuration mlflowSize"),
        ({"kubernetesVersion": "1.2.3"}, "Kubernetes 1.2.3 is none that this version"),
        ({"clusterProvider": "existing"}, "clusterProvider existing needs kubeconfig"),
    ],
)
def test_a_wrong_setting_is_refused(checkout: Path, values: dict[str, str], said: str) -> None:
    stack = configure(checkout, "dev", **values)
    with pytest.raises(SettingsError, match=said):
        checks.up(stack)
    with pytest.raises(SettingsError, match=said):
        checks.preview(stack)


def test_a_folder_that_is_no_export_is_refused(checkout: Path) -> None:
    stack = configure(checkout, "dev", ephemeral="true")
    with pytest.raises(ArchiveError, match=r"RESTORE=.*is no finished export"):
        checks.up(stack, restore=checkout / "typo")


def test_a_base_that_is_no_summary_is_refused(checkout: Path) -> None:
    stack = configure(checkout, "dev", ephemeral="true")
    with pytest.raises(BaseError, match="is no base to compare with"):
        checks.preview(stack, base=checkout / "typo.json")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pr-1", "4h", "typo"), r"there is no Pulumi\.typo\.yaml"),
        (("pr-1", "4", "dev"), "TTL='4'"),
        (("PR_1", "4h", "dev"), "PR_1"),
        (("team", "4h", "dev"), "lasting stack"),
    ],
)
def test_what_cannot_make_an_environment_is_refused(
    checkout: Path, arguments: tuple[str, str, str], said: str
) -> None:
    configure(checkout, "dev", ephemeral="true")
    configure(checkout, "team")
    with pytest.raises(SettingsError, match=said):
        creation.check(*arguments)


def test_an_environments_export_is_looked_at(checkout: Path) -> None:
    configure(checkout, "dev", ephemeral="true")
    creation.check("pr-1", "4h", "dev")
    with pytest.raises(ArchiveError, match="is no finished export"):
        creation.check("pr-1", "4h", "dev", restore=checkout / "typo")


@pytest.fixture
def make(tmp_path: Path) -> Path:
    """A folder with the Makefile and a Python that notes what it is asked for.

    Only checks are really run; the toolchain and the commands would take their time.
    """
    shutil.copy(layout.checkout() / "Makefile", tmp_path)
    programs = {
        "toolchain/bootstrap.sh": "#!/bin/sh\n",
        ".venv/bin/python": (
            "#!/bin/sh\n"
            f'echo "$*" >> {tmp_path}/asked\n'
            'case "$*" in\n'
            f'*--check-only*) exec {sys.executable} "$@" ;;\n'
            "esac\n"
        ),
    }
    for name, text in programs.items():
        program = tmp_path / name
        program.parent.mkdir(parents=True)
        program.write_text(text)
        program.chmod(0o755)
    return tmp_path


def run(folder: Path, *words: str) -> tuple[int, str, list[str]]:
    """Run make; return its exit code, what it says, and what Python was asked for in turn."""
    done = subprocess.run(
        ["make", "--silent", *words],
        cwd=folder,
        env={**os.environ, "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    asked = (folder / "asked").read_text().splitlines()
    return done.returncode, done.stdout + done.stderr, asked


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("up", "STACK=Bad_Name"), "the stack's name 'Bad_Name'"),
        (("up", "STACK=dev", "RESTORE=/no/such/folder"), "RESTORE=/no/such/folder is no finished"),
        (("preview", "STACK=Bad_Name"), "the stack's name 'Bad_Name'"),
        (("preview", "STACK=dev", "FORMAT=html"), "invalid choice: 'html'"),
        (("preview", "FORMAT=markdown", "BASE=/no/such/file"), "is no base to compare with"),
        (("upgrade", "STACK=no-such-one"), "stack no-such-one has no cluster"),
        (("upgrade", "STACK=aws"), "make upgrade is for embedded clusters"),
        (("env", "NAME=pr-1", "TTL=4"), "TTL='4'"),
        (("env", "NAME=pr-1", "TTL=4h", "TEMPLATE=typo"), "there is no Pulumi.typo.yaml"),
    ],
)
def test_make_builds_nothing_for_what_it_refuses(
    make: Path, words: tuple[str, ...], said: str
) -> None:
    code, text, asked = run(make, *words)
    assert code
    assert said in text
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("words", "built"),
    [
        (("up", "STACK=dev"), "--hurry"),
        (("preview", "STACK=dev"), "--for preview"),
        (("env", "NAME=pr-1", "TTL=4h"), "--hurry"),
    ],
)
def test_make_checks_then_builds_then_works(make: Path, words: tuple[str, ...], built: str) -> None:
    code, text, (check, build, work) = run(make, *words)
    assert code == 0, text
    assert "--check-only" in check
    assert build == f"-m mlops_toolchain build {built}"
    # The same words, but for the time at which the command began.
    began = work.index(" --started") if "--started" in work else len(work)
    assert check == f"{work[:began]} --check-only"
