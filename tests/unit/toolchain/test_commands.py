"""What commands ask of the toolchain: a preview little of it."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_toolchain import engine, images, view
from mlops_toolchain.artefact import Artefact
from mlops_toolchain.artefacts import BY_NAME
from mlops_toolchain.commands import PREVIEW
from mlops_toolchain.progress import PlainProgress
from tests.unit.conftest import CHECKOUT
from tests.unit.toolchain.small import add, small


def _listed(cache: Path, *arguments: str) -> list[str]:
    """Return the lines of a dry run with an empty cache."""
    done = subprocess.run(
        [sys.executable, "-m", "mlops_toolchain", "build", "--dry-run", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "MLOPS_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_preview_asks_for_the_engine_and_the_manifests_alone(tmp_path: Path) -> None:
    *artefacts, last = _listed(tmp_path / "cache", "--for", "preview")
    names = {line.split()[0] for line in artefacts}
    # What is not read by the preview itself is needed to build what is.
    assert names - set(PREVIEW) == {"go", "kubernetes", "kubeflow-source"}
    assert last.startswith("9 to obtain, about ")
    assert not [name for name in PREVIEW if BY_NAME[name].recipe.kind in ("image", "debian")]
    everything = _listed(tmp_path / "cache", "--hurry")
    assert len(everything) > 70
    # Nothing is made, not even the cache.
    assert not (tmp_path / "cache").exists()


def test_every_manifest_of_the_program_is_there_for_a_preview() -> None:
    manifests = {
        name
        for name, artefact in BY_NAME.items()
        if any(link.startswith("manifests/") for link in artefact.recipe.links())
    }
    assert manifests <= set(PREVIEW)


def test_the_makefile_asks_so() -> None:
    text = (CHECKOUT / "Makefile").read_text()
    recipe = re.search(r"^preview:.*\n((?:\t.*\n)+)", text, re.M)
    assert recipe
    assert "toolchain-for-preview" in recipe[1]
    assert "toolchain-in-a-hurry" not in recipe[1]
    assert "mlops_toolchain build --for preview\n" in text


@pytest.mark.parametrize(("seconds", "expected"), [(300, False), (100, True)])
def test_an_image_is_expected_where_make_up_would_build_it(
    tools: dict[str, Artefact], monkeypatch: pytest.MonkeyPatch, seconds: int, expected: bool
) -> None:
    ui = replace(small("image-ui", "true"), optional=True, seconds=seconds)
    add(tools, replace(small("must", "true"), seconds=200), ui)
    monkeypatch.setattr(engine, "ARTEFACTS", tuple(tools.values()))
    monkeypatch.setattr(images, "_ARTEFACTS", {"ui": ui})
    assert images.is_expected("ui") is expected
    engine.ensure([], PlainProgress(), in_a_hurry=True)
    assert images.is_there("ui") is images.is_expected("ui") is expected


def test_what_a_preview_adds_to_the_view_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_toolchain.layout.view", lambda: tmp_path / "view")
    monkeypatch.setattr("mlops_toolchain.layout.pulumi_home", lambda: tmp_path / "home")
    (tmp_path / "view/bin").mkdir(parents=True)
    (tmp_path / "view/bin/kubelet").symlink_to("/usr/bin/true")
    view.link_only([BY_NAME["kserve-manifests"]])
    view.add_plugins()
    assert (tmp_path / "view/bin/kubelet").is_symlink()
    assert (tmp_path / "view/manifests/kserve/default.json").is_symlink()
    assert (tmp_path / "view/bin/pulumi-language-python").exists()
