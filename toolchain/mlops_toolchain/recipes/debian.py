"""Files of a Debian package, unpacked into the cache without installing the package.

A host that runs Docker has another containerd installed, and installing Debian's would remove it;
unpacked files disturb nobody and start no service. apt checks the archive's signature.
"""

from dataclasses import dataclass
from pathlib import Path

from mlops_toolchain.artefact import Context


@dataclass(frozen=True, kw_only=True)
class DebianFiles:
    """Some files of a package.

    Attributes:
        package: the package's name.
        files: paths in the view to paths in the package.
    """

    package: str
    files: tuple[tuple[str, str], ...]
    kind: str = "debian"

    def sources(self) -> tuple[Path, ...]:
        """Return nothing: apt's index decides the version."""
        return ()

    def links(self) -> dict[str, str]:
        """Return the links of `files`."""
        return dict(self.files)

    def build(self, context: Context) -> None:
        """Download the package and unpack it."""
        download = context.output / "download"
        download.mkdir()
        # apt drops to an unprivileged user that may not enter the cache, and says so at length.
        quiet = ("-q", "-o", "APT::Sandbox::User=root")
        context.run("apt-get", *quiet, "download", self.package, cwd=download)
        for package in download.glob("*.deb"):
            context.run("dpkg-deb", "--extract", package, context.output)
            package.unlink()
        download.rmdir()
