"""What a shared result consists of: a push writes it last, a fetch reads it first."""

import posixpath
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlops_toolchain.errors import ToolchainError

FORMAT: Final = 1
MOST_BYTES: Final = 32 * 2**20
"""No manifest is larger; the longest has some thousand entries."""

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Bytes = Annotated[int, Field(ge=0)]


class ManifestError(ToolchainError):
    """A manifest is not to be trusted; the message says why."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Entry(_Model):
    """A file, folder or symbolic link of a result.

    Attributes:
        path: below the result's folder.
        kind: what it is.
        mode: permissions, without the bits that lend a user's rights; 0 for a link.
        size: bytes of a file.
        sha256: digest of a file.
        target: of a link, relative to its folder.
    """

    path: str
    kind: Literal["file", "folder", "link"]
    mode: Annotated[int, Field(ge=0, le=0o777)] = 0
    size: _Bytes = 0
    sha256: Literal[""] | _Sha256 = ""
    target: str = ""


class Record(_Model):
    """What was noted where the result was built.

    Attributes:
        version: as upstream writes it.
        origin: kind of recipe, or what it found.
        seconds: duration of the build.
        bytes: size of the result.
    """

    version: str
    origin: str
    seconds: float
    bytes: _Bytes


class Manifest(_Model):
    """The result of one key, and the archive that holds it.

    Attributes:
        format: of manifest and archive.
        artefact: the result's name.
        key: the result's key.
        platform: machines that the result serves.
        archive: digest of the archive, which is its name too.
        archive_bytes: size of the archive.
        record: what was noted where the result was built.
        entries: all that the archive holds, in its order; folders come before what is in them.
    """

    format: Literal[1]
    artefact: str
    key: str
    platform: str
    archive: _Sha256
    archive_bytes: _Bytes
    record: Record
    entries: tuple[Entry, ...]

    @model_validator(mode="after")
    def _stay_inside(self) -> "Manifest":
        folders = {""}
        paths: set[str] = set()
        for entry in self.entries:
            parent = posixpath.dirname(entry.path)
            # Nothing is ever written through a link: each parent is a folder of the same list.
            if not _is_inside(entry.path) or parent not in folders or entry.path in paths:
                raise ValueError(
                    f"{entry.path!r} is outside of the result's folder, or there twice"
                )
            if entry.kind == "link" and not stays_inside(entry.path, entry.target):
                raise ValueError(f"{entry.path!r} links to {entry.target!r}, outside of its folder")
            paths.add(entry.path)
            if entry.kind == "folder":
                folders.add(entry.path)
        return self

    @property
    def bytes(self) -> int:
        """Return the size of all files."""
        return sum(entry.size for entry in self.entries)


def _is_inside(path: str) -> bool:
    parts = path.split("/")
    return "\0" not in path and not {"", ".", ".."} & set(parts)


def stays_inside(path: str, target: str) -> bool:
    """Return whether a link at `path` leads to somewhere in the same result, by its words."""
    if not target or "\0" in target or target.startswith("/"):
        return False
    led = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return led != ".." and not led.startswith("../")


def parse(text: bytes, *, artefact: str, key: str, platform: str) -> Manifest:
    """Read a manifest, and see that it is the one that was asked for.

    Raises:
        ManifestError: it is none, of another format or result, or names a path outside of the
            result's folder.
    """
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ManifestError(
            f"its manifest is not valid ({f'{where}: ' if where else ''}{first['msg']})"
        ) from None
    if (manifest.artefact, manifest.key, manifest.platform) != (artefact, key, platform):
        raise ManifestError(
            f"its manifest is of {manifest.artefact} {manifest.key} for {manifest.platform}"
        )
    return manifest
