"""Removes results that this checkout's pins no longer name, and on request the build caches."""

import shutil

from mlops_toolchain import layout
from mlops_toolchain.artefacts import ARTEFACTS
from mlops_toolchain.keys import result


def prune(*, build_caches: bool) -> None:
    """Remove old results and print what was freed.

    Args:
        build_caches: also remove Go's and npm's caches, which only speed up a rebuild.
    """
    wanted = {result(artefact) for artefact in ARTEFACTS}
    found = (layout.cache() / "artefacts").glob("*/*")
    unwanted = [path for path in found if path.is_dir() and path not in wanted]
    if build_caches:
        unwanted += [layout.cache() / name for name in ("go-build", "go-mod", "npm")]
    for path in unwanted:
        if path.exists():
            # Go makes its module cache read-only.
            for folder in [path, *(p for p in path.rglob("*") if p.is_dir())]:
                folder.chmod(0o755)
            shutil.rmtree(path)
            print(f"removed {path}")
