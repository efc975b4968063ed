"""Where a result is in a shared cache."""

import platform

from mlops_toolchain.artefact import Artefact
from mlops_toolchain.keys import key
from mlops_toolchain.shared_cache.manifest import FORMAT


def machines() -> str:
    """Return which machines a result of this one serves, for example debian-12-x86_64.

    A key says nothing of it: Debian's files are of the machine's release, and link to its
    libraries.
    """
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    system = (release.get("ID", "linux"), release.get("VERSION_ID", ""), platform.machine())
    return "-".join(part for part in system if part)


def manifest_path(artefact: Artefact) -> str:
    """Return the manifest's path; it appears last."""
    return f"{_folder(artefact)}/manifest.json"


def archive_path(artefact: Artefact, digest: str) -> str:
    """Return an archive's path: two machines' archives of one key differ, and disturb nobody."""
    return f"{_folder(artefact)}/{digest}.tar.gz"


def _folder(artefact: Artefact) -> str:
    return f"v{FORMAT}/{machines()}/{artefact.name}/{key(artefact.name)}"
