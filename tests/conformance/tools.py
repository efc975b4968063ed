"""Programs that the suite runs, from the checkout's toolchain or from PATH."""

import os
import shutil
from pathlib import Path

SEARCH = os.pathsep.join(
    [
        *filter(None, [os.environ.get("CONFORMANCE_BIN")]),
        str(Path(__file__).resolve().parents[2] / ".toolchain" / "bin"),
        os.environ.get("PATH", ""),
    ]
)


def find(name: str) -> Path | None:
    """Return the path of a program, None where it is missing.

    It is looked for in `$CONFORMANCE_BIN`, then in `.toolchain/bin`, then on PATH.
    """
    found = shutil.which(name, path=SEARCH)
    return Path(found) if found else None
