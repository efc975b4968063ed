"""Debian file systems for images."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mlops_toolchain.artefact import Context


@dataclass(frozen=True, kw_only=True)
class DebianRoot:
    """A minimal root file system, made from signed packages.

    Attributes:
        suite: Debian's release.
        packages: what it holds beside the essential packages.
    """

    variant: ClassVar[str] = "minbase"

    suite: str
    packages: tuple[str, ...]
    kind: str = "debian"

    def sources(self) -> tuple[Path, ...]:
        """Return nothing: the pins are fields."""
        return ()

    def links(self) -> dict[str, str]:
        """Return nothing: images build on it."""
        return {}

    def build(self, context: Context) -> None:
        """Run mmdebstrap, without documentation and translations."""
        excluded = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
        context.run(
            *("mmdebstrap", f"--variant={self.variant}", f"--include={','.join(self.packages)}"),
            *(f"--dpkgopt=path-exclude={path}" for path in excluded),
            *(self.suite, context.output / "root.tar"),
            env={"SOURCE_DATE_EPOCH": "1700000000", "TMPDIR": str(context.output)},
        )


@dataclass(frozen=True, kw_only=True)
class DebianLibraries(DebianRoot):
    """The named packages and what they depend on, unpacked and nothing else: no shell, no dpkg."""

    variant: ClassVar[str] = "extract"
