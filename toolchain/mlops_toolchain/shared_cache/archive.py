"""A result as one archive: a gzipped tar file in a fixed order, without users and times."""

import gzip
import hashlib
import stat
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from mlops_toolchain.errors import ToolchainError
from mlops_toolchain.shared_cache.manifest import Entry, Manifest, stays_inside

# Images' layers are compressed already, and on the others level 6 takes four times as long for an
# eighth of the size.
_LEVEL = 1
_CHUNK = 2**20


class ArchiveError(ToolchainError):
    """An archive cannot be made, or does not hold what its manifest says."""


class NotPortableError(ToolchainError):
    """A result is of use on this machine only."""


class Hashing:
    """A stream that hashes and counts what is read from it or written to it.

    Attributes:
        bytes: how many have passed.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.bytes = 0
        self._stream = stream
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Return the digest of what has passed."""
        return self._digest.hexdigest()

    def read(self, size: int = -1) -> bytes:
        """Read from the stream."""
        return self._passed(self._stream.read(size))

    def write(self, data: bytes) -> int:
        """Write to the stream."""
        self._stream.write(self._passed(data))
        return len(data)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def _passed(self, data: bytes) -> bytes:
        self.bytes += len(data)
        self._digest.update(data)
        return data


def pack(folder: Path, to: BinaryIO, *, excluding: Iterable[str] = ()) -> tuple[Entry, ...]:
    """Write an archive of a folder; equal folders give equal archives.

    Args:
        folder: what to pack.
        to: where to.
        excluding: names in the folder that stay out.

    Raises:
        NotPortableError: a link leads out of the folder.
        ArchiveError: it holds something that is neither file, folder nor link.
    """
    entries: list[Entry] = []
    with (
        gzip.GzipFile(fileobj=to, mode="wb", compresslevel=_LEVEL, mtime=0) as compressed,
        # A name of any length or alphabet is one in this format.
        tarfile.open(
            fileobj=compressed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_CHUNK
        ) as tar,
    ):
        for path in _walk(folder, set(excluding)):
            entries.append(_add(tar, path, path.relative_to(folder).as_posix()))
    return tuple(entries)


def _walk(folder: Path, excluded: set[str]) -> Iterable[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in excluded:
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, set())


def _add(tar: tarfile.TarFile, path: Path, name: str) -> Entry:
    status = path.lstat()
    member = tarfile.TarInfo(name)
    member.mode = status.st_mode & 0o777
    if stat.S_ISLNK(status.st_mode):
        target = str(path.readlink())
        if not stays_inside(name, target):
            raise NotPortableError(f"{name} links to {target}")
        member.type, member.mode, member.linkname = tarfile.SYMTYPE, 0, target
        tar.addfile(member)
        return Entry(path=name, kind="link", target=target)
    if stat.S_ISDIR(status.st_mode):
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
        return Entry(path=name, kind="folder", mode=member.mode)
    if not stat.S_ISREG(status.st_mode):
        raise ArchiveError(f"{path} is neither file, folder nor link")
    with path.open("rb") as stream:
        member.size = status.st_size
        content = Hashing(stream)
        tar.addfile(member, content)
    return Entry(
        path=name, kind="file", mode=member.mode, size=content.bytes, sha256=content.sha256
    )


def unpack(archive: Hashing, manifest: Manifest, folder: Path) -> None:
    """Fill an empty folder with exactly what a manifest says, whatever the archive holds.

    Names, kinds and modes are the manifest's, of which `Manifest` knows that they stay in the
    folder; the archive gives the files' content.

    Args:
        archive: the archive, from its first byte on; read to its end.
        manifest: what it must hold.
        folder: where to.

    Raises:
        ArchiveError: it holds something else, was cut, or is not the archive that the manifest
            names.
    """
    try:
        with (
            gzip.GzipFile(fileobj=archive) as plain,
            tarfile.open(fileobj=plain, mode="r|", bufsize=_CHUNK) as tar,
        ):
            for entry in manifest.entries:
                _take(tar, entry, folder)
            if tar.next() is not None:
                raise ArchiveError("its archive holds more than its manifest says")
        while archive.read(_CHUNK):
            pass
    except (EOFError, tarfile.TarError, gzip.BadGzipFile, zlib.error) as error:
        raise ArchiveError(f"its archive is cut or damaged ({error})") from None
    if archive.bytes != manifest.archive_bytes:
        raise ArchiveError(
            f"its archive has {archive.bytes} bytes where its manifest says "
            f"{manifest.archive_bytes}"
        )
    if archive.sha256 != manifest.archive:
        raise ArchiveError(f"the digest of its archive is {archive.sha256}, not {manifest.archive}")
    # Last, so that no folder is closed before it is filled, and no link there to be followed.
    for entry in manifest.entries:
        if entry.kind == "link":
            (folder / entry.path).symlink_to(entry.target)
    for entry in reversed(manifest.entries):
        if entry.kind == "folder":
            (folder / entry.path).chmod(entry.mode)
    _check_links(folder, manifest)


def _take(tar: tarfile.TarFile, entry: Entry, folder: Path) -> None:
    member = tar.next()
    kind = _kind(member) if member else None
    if member is None or (member.name, kind) != (entry.path, entry.kind):
        found = (
            f"{member.name} ({kind or 'neither file, folder nor link'})" if member else "its end"
        )
        raise ArchiveError(f"its archive has {found} where its manifest has {entry.path}")
    path = folder / entry.path
    if entry.kind == "folder":
        path.mkdir(mode=0o700)
    elif entry.kind == "file":
        stream = tar.extractfile(member)
        assert stream  # noqa: S101 - a file has content
        if member.size != entry.size:
            raise ArchiveError(f"{entry.path} has {member.size} bytes, not {entry.size}")
        content = Hashing(stream)  # type: ignore[arg-type]
        with path.open("xb") as file:
            while data := content.read(_CHUNK):
                file.write(data)
        if content.sha256 != entry.sha256:
            raise ArchiveError(f"the digest of {entry.path} is {content.sha256}")
        path.chmod(entry.mode)


def _kind(member: tarfile.TarInfo) -> str | None:
    if member.isreg():
        return "file"
    if member.isdir():
        return "folder"
    return "link" if member.issym() else None


def _check_links(folder: Path, manifest: Manifest) -> None:
    """See that no link leads out by way of another one.

    Raises:
        ArchiveError: one does.
    """
    root = folder.resolve()
    for entry in manifest.entries:
        if entry.kind == "link":
            try:
                led = (folder / entry.path).resolve()
            except (OSError, RuntimeError):
                raise ArchiveError(f"{entry.path} links to itself") from None
            if not led.is_relative_to(root):
                raise ArchiveError(f"{entry.path} links to {led}, outside of its folder")
