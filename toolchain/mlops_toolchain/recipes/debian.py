"""Files of a Debian package, unpacked into the cache without installing the package.

A host that runs Docker has another containerd installed, and installing Debian's would remove it;
unpacked files disturb nobody and start no service. apt checks the archive's signature.
"""

import fcntl
from dataclasses import dataclass
from pathlib import Path

from mlops_toolchain.artefact import Context
from mlops_toolchain.errors import ToolchainError


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
        try:
            self._download(context, download)
        except ToolchainError:
            # A new machine has no package lists, an old one lists of versions that are gone.
            with (context.cache / "apt.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                context.run("apt-get", "-q", "update")
            self._download(context, download)
        for package in download.glob("*.deb"):
            context.run("dpkg-deb", "--extract", package, context.output)
            # package_version_architecture.deb
            (context.output / "origin").write_text(f"debian {package.name.split('_')[1]}")
            package.unlink()
        download.rmdir()

    def _download(self, context: Context, folder: Path) -> None:
        # apt drops to an unprivileged user that may not enter the cache, and says so at length.
        quiet = ("-q", "-o", "APT::Sandbox::User=root")
        context.run("apt-get", *quiet, "download", self.package, cwd=folder)
