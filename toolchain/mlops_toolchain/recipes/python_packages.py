"""Python packages for an image, as the lock file pins them."""

import os
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mlops_toolchain import layout
from mlops_toolchain.artefact import Context

_NAME = re.compile(r"^([\w.-]+)==", re.MULTILINE)


def unpack_wheels(context: Context, requirements: Iterable[str], target: Path) -> None:
    """Install packages for what they carry; nothing of them is run.

    Args:
        context: of the build.
        requirements: each with its version and hash.
        target: folder to make.
    """
    file = target.with_suffix(".txt")
    file.write_text("\n".join(requirements) + "\n")
    context.run(
        *(os.environ.get("UV", "uv"), "pip", "install", "--quiet", "--require-hashes"),
        # Copies: a changed mode must not reach the cache's own file.
        *("--no-deps", "--python", sys.executable, "--link-mode", "copy"),
        *("--target", target, "--requirements", file),
    )
    file.unlink()


@dataclass(frozen=True, kw_only=True)
class PythonPackages:
    """The packages of a requirements file with hashes, unpacked for another interpreter.

    Attributes:
        requirements: file below the checkout, exported from uv.lock.
        python_version: the image's interpreter.
        built: names of packages that PyPI has as source only; pure Python, so that what the host
            builds runs in the image.
    """

    requirements: str
    python_version: str
    built: tuple[str, ...] = ()
    kind: str = "pypi"

    def sources(self) -> tuple[Path, ...]:
        """Return the requirements file."""
        return (layout.checkout() / self.requirements,)

    def links(self) -> dict[str, str]:
        """Return nothing: images copy the result."""
        return {}

    def build(self, context: Context) -> None:
        """Download and unpack the wheels, and drop what a server never reads."""
        target = context.output / "site"
        requirements = layout.checkout() / self.requirements
        names = _NAME.findall(requirements.read_text())
        wheels = [part for n in names if n not in self.built for part in ("--only-binary", n)]
        context.run(
            *(os.environ.get("UV", "uv"), "pip", "install", "--require-hashes", "--no-deps"),
            *("--python-version", self.python_version, *wheels),
            *("--python-platform", "x86_64-manylinux_2_28", "--link-mode", "copy"),
            *("--target", target, "--requirements", requirements),
        )
        for folder in [*target.rglob("tests"), *target.rglob("test")]:
            # numpy's testing helpers, and TensorFlow itself, import from their own; keep those.
            if folder.is_dir() and not {"numpy", "tensorflow", "keras"} & set(folder.parts):
                shutil.rmtree(folder)
        context.run("tar", "-C", target, "-cf", context.output / "site.tar", ".")
        shutil.rmtree(target)
