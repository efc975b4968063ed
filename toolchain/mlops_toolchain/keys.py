"""The key of a result: equal keys mean equal recipes, pins and sources, so the result serves."""

import functools
import hashlib
from pathlib import Path

from mlops_toolchain import layout
from mlops_toolchain.artefact import Artefact
from mlops_toolchain.artefacts import BY_NAME

# Raised when results of older toolchains no longer serve.
_FORMAT = 1


@functools.cache
def key(name: str) -> str:
    """Return 16 hexadecimal digits that name an artefact's result.

    Only small inputs are read: pins, recipes' fields, sources in the checkout, keys of needs.
    """
    artefact = BY_NAME[name]
    digest = hashlib.sha256()
    for part in (str(_FORMAT), artefact.version, repr(artefact.recipe), *map(key, artefact.needs)):
        digest.update(part.encode() + b"\0")
    for source in artefact.recipe.sources():
        for file in _files(source):
            digest.update(str(file.relative_to(layout.checkout())).encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def result(artefact: Artefact) -> Path:
    """Return the folder that holds an artefact's result once it is there."""
    return layout.cache() / "artefacts" / artefact.name / key(artefact.name)


def _files(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    return sorted(
        path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
