"""What earlier versions exported with KEEP=models is read, whole, by this one."""

import tarfile
from pathlib import Path

import pytest

from mlops_stack.backup import archive
from mlops_stack.backup.restore import check_revision
from tests.unit.conftest import CHECKOUT

_DATA = CHECKOUT / "tests/data"


@pytest.mark.parametrize("version", sorted(f.name for f in _DATA.iterdir() if f.is_dir()))
def test_an_export_is_accepted(version: str, tmp_path: Path) -> None:
    with tarfile.open(_DATA / version / "kept.tar.xz") as file:
        file.extractall(tmp_path, filter="data")

    kept, manifest = archive.read(tmp_path / "kept")
    kept.check(manifest)
    kept.verify(manifest)
    check_revision(manifest)

    assert manifest.database.model_versions >= 1
