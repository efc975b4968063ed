"""Patches of upstream's sources."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mlops_toolchain import artefacts, layout
from mlops_toolchain.errors import ToolchainError
from mlops_toolchain.keys import key
from mlops_toolchain.recipes.go import PatchedGoPrograms
from mlops_toolchain.recipes.kubeflow_source import KubeflowSource
from mlops_toolchain.recipes.patches import apply_patches

PATCH = """\
The reason.

diff --git a/pkg/look.go b/pkg/look.go
--- a/pkg/look.go
+++ b/pkg/look.go
@@ -1,2 +1,2 @@
-a = 1
+a = 2
 b = 1
"""


class Runner:
    """Runs commands as a build does."""

    def run(self, *command: Any, cwd: Path, env: dict[str, str]) -> None:
        done = subprocess.run(command, cwd=cwd, env={"PATH": "/usr/bin:/bin", **env}, check=False)
        if done.returncode:
            raise ToolchainError(f"git ended with exit code {done.returncode}")


def _module(folder: Path, text: str) -> Path:
    (folder / "module/pkg").mkdir(parents=True)
    (folder / "module/pkg/look.go").write_text(text)
    return folder / "module"


def _patches(folder: Path, **patches: str) -> Path:
    (folder / "patches").mkdir()
    for name, text in patches.items():
        (folder / f"patches/{name}.patch").write_text(text)
    return folder / "patches"


@pytest.mark.parametrize("inside_a_repository", [False, True])
def test_patches_apply_in_order(tmp_path: Path, inside_a_repository: bool) -> None:
    if inside_a_repository:
        subprocess.run(["git", "init", "-q", tmp_path], check=True)
    module = _module(tmp_path, "a = 1\nb = 1\n")
    second = PATCH.replace("-a = 1\n+a = 2", "-a = 2\n+a = 3")
    apply_patches(Runner(), _patches(tmp_path, b=second, a=PATCH), module)  # type: ignore[arg-type]
    assert (module / "pkg/look.go").read_text() == "a = 3\nb = 1\n"


@pytest.mark.parametrize("text", ["a = 2\nb = 1\n", "a = 1\nc = 1\n"])
def test_a_patch_for_another_version_is_refused(tmp_path: Path, text: str) -> None:
    module = _module(tmp_path, text)
    with pytest.raises(ToolchainError, match=r"a\.patch is for another version"):
        apply_patches(Runner(), _patches(tmp_path, a=PATCH), module)  # type: ignore[arg-type]


def test_a_folder_without_patches_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="holds no patch"):
        apply_patches(Runner(), _patches(tmp_path), _module(tmp_path, ""))  # type: ignore[arg-type]


def _patched() -> list[Any]:
    recipes = (PatchedGoPrograms, KubeflowSource)
    return [a for a in artefacts.ARTEFACTS if isinstance(a.recipe, recipes)]


def test_the_programs_with_patches() -> None:
    assert {artefact.name for artefact in _patched()} == {"versitygw", "kubeflow-source"}


def test_each_patch_begins_with_its_reason() -> None:
    for artefact in _patched():
        patches = sorted(artefact.recipe.sources()[-1].glob("*.patch"))
        assert patches
        for patch in patches:
            assert len(patch.read_text().partition("\ndiff --git")[0].split()) > 10, patch


@pytest.mark.parametrize("artefact", _patched(), ids=lambda artefact: artefact.name)
def test_the_patches_are_part_of_the_key(
    artefact: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key.__wrapped__(artefact.name)
    for source in artefact.recipe.sources():
        target = tmp_path / source.relative_to(layout.checkout())
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_file():
            target.write_bytes(source.read_bytes())
        else:
            shutil.copytree(source, target)
    monkeypatch.setattr(layout, "checkout", lambda: tmp_path)
    assert key.__wrapped__(artefact.name) == before
    for patch in (tmp_path / "toolchain/patches").rglob("*.patch"):
        patch.write_text(patch.read_text() + " ")
    assert key.__wrapped__(artefact.name) != before
