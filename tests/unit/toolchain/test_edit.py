"""Edits of upstream's sources."""

from pathlib import Path

import pytest

from mlops_toolchain.errors import ToolchainError
from mlops_toolchain.recipes.edit import Edit

EDIT = Edit(file="pkg/look.go", old="time.Second * 1\n", new="time.Millisecond * 200\n")


def _module(folder: Path, text: str) -> Path:
    (folder / "pkg").mkdir()
    (folder / EDIT.file).write_text(text)
    return folder


def test_the_text_is_replaced(tmp_path: Path) -> None:
    module = _module(tmp_path, "a = time.Second * 1\nb = time.Second * 10\n")
    EDIT.apply(module)
    text = (module / EDIT.file).read_text()
    assert text == "a = time.Millisecond * 200\nb = time.Second * 10\n"


def test_a_file_may_have_several_edits(tmp_path: Path) -> None:
    module = _module(tmp_path, "a = time.Second * 1\nb = time.Second * 10\n")
    for edit in (EDIT, Edit(file=EDIT.file, old="Second * 10", new="Second * 5")):
        edit.apply(module)
    text = (module / EDIT.file).read_text()
    assert text == "a = time.Millisecond * 200\nb = time.Second * 5\n"


@pytest.mark.parametrize("text", ["a = 1\n", "a = time.Second * 1\nb = time.Second * 1\n"])
def test_an_edit_for_another_version_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ToolchainError, match="another version"):
        EDIT.apply(_module(tmp_path, text))
