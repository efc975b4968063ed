"""The folder of an export.

manifest.json        what there is: sizes, checksums, versions; written last
mlflow.db            MLflow's database, SQLite
objects/<sha256>     the buckets' objects by their content, whatever characters their keys have
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlops_stack.keeping.errors import ArchiveError

_MANIFEST = "manifest.json"
# What files need beside their content, and the manifest.
_OVERHEAD = 1.05

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Content(_Part):
    """Bytes.

    Attributes:
        bytes: how many.
        sha256: their checksum, in hexadecimal.
    """

    bytes: int = Field(ge=0)
    sha256: Sha256


class Database(_Part):
    """MLflow's database.

    Attributes:
        content: the file.
        mlflow: version of the server that wrote it.
        revision: revision of its tables, as Alembic counts.
        models: registered models in it.
        model_versions: versions of them.
        runs: runs in it.
    """

    content: Content
    mlflow: str
    revision: str
    models: int
    model_versions: int
    runs: int


class Object(_Part):
    """An object of a bucket.

    Attributes:
        bucket: the bucket's purpose in the stack; on AWS its name is another.
        key: the object's key.
        content: what it holds.
        content_type: its media type.
        metadata: what its writer noted with it.
    """

    bucket: Literal["artifacts", "models"]
    key: str
    content: Content
    content_type: str = ""
    metadata: dict[str, str] = {}


class Manifest(_Part):
    """What an export holds.

    Attributes:
        format: version of this description.
        kept: what was asked for.
        made: when, in UTC as ISO 8601 writes it.
        stack: the stack that it comes from.
        database: MLflow's database.
        objects: the objects of the buckets, in their latest version.
    """

    format: Literal[1] = 1
    kept: Literal["models"] = "models"
    made: str
    stack: str
    database: Database
    objects: tuple[Object, ...]


class Archive:
    """An export on disk.

    Attributes:
        folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def database(self) -> Path:
        """Return the file of MLflow's database."""
        return self.folder / "mlflow.db"

    def object(self, content: Content) -> Path:
        """Return the file of an object's content."""
        return self.folder / "objects" / content.sha256

    def store(self, stream: Iterator[bytes]) -> Content:
        """Keep an object's content, once for all objects that share it."""
        objects = self.folder / "objects"
        objects.mkdir(mode=0o700, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with tempfile.NamedTemporaryFile(dir=objects, delete=False) as file:
            for chunk in stream:
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        content = Content(bytes=size, sha256=digest.hexdigest())
        Path(file.name).rename(self.object(content))
        return content

    def discard(self) -> None:
        """Remove what an export that did not end has written, and its folder if that is all."""
        # First: without it the folder is no export, whatever ends this here.
        (self.folder / _MANIFEST).unlink(missing_ok=True)
        _part(self.folder).unlink(missing_ok=True)
        self.database.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "objects", ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def verify(self, manifest: Manifest) -> None:
        """Bring every file to the disk, and read it from there.

        Raises:
            ArchiveError: a file is not what was exported, or the disk refuses it.
        """
        try:
            # All of them before the first is read: by then the disk has had time for most.
            for path, folders, files in os.walk(self.folder, topdown=False):
                for name in files:
                    _sync(Path(path, name))
                for name in folders:
                    _sync(Path(path, name))
            _sync(self.folder)
        except OSError as error:
            raise ArchiveError(f"{error.filename} cannot be written ({error.strerror})") from error
        self.check(manifest)

    def check(self, manifest: Manifest) -> None:
        """Read every file of the export.

        Raises:
            ArchiveError: one is not what was exported.
        """
        contents = {self.object(found.content): found.content for found in manifest.objects}
        for path, content in {self.database: manifest.database.content, **contents}.items():
            _check(path, content)

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest: from then on the folder is an export, whatever becomes of the power.

        Raises:
            ArchiveError: the disk refuses it.
        """
        part = _part(self.folder)
        try:
            part.touch(mode=0o600)
            part.write_text(manifest.model_dump_json(indent=2) + "\n")
            _sync(part)
            part.rename(self.folder / _MANIFEST)
            # The names too: of the manifest in its folder, of the folder in those above it.
            for folder in (self.folder, *self.folder.parents):
                _sync(folder)
        except OSError as error:
            raise ArchiveError(
                f"{self.folder / _MANIFEST} cannot be written ({error.strerror})"
            ) from error


def prepare(folder: Path, *, needed: int = 0) -> Archive:
    """Make the folder of an export.

    Args:
        folder: where; it must not exist, or be empty.
        needed: bytes that will go into it.

    Raises:
        ArchiveError: it is not empty, cannot be written to, or has too little space.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        empty = not any(folder.iterdir())
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ArchiveError(
            f"{folder} cannot be written to ({error.strerror}); name another folder with KEEP_TO="
        ) from error
    if not empty:
        raise ArchiveError(f"{folder} is not empty; name another folder with KEEP_TO=")
    check_space(folder, needed)
    return Archive(folder)


def check_space(folder: Path, needed: int) -> None:
    """Refuse a folder on whose file system bytes have no room.

    Raises:
        ArchiveError: they have not.
    """
    free = shutil.disk_usage(folder).free
    wanted = int(needed * _OVERHEAD)
    if wanted > free:
        raise ArchiveError(
            f"{folder} has {_mib(free)} of free space and needs {_mib(wanted)}; free some, or name "
            "a folder elsewhere with KEEP_TO="
        )


def read(folder: Path) -> tuple[Archive, Manifest]:
    """Return an export whose every file is there and unharmed.

    Raises:
        ArchiveError: it is no export, or not whole.
    """
    file = folder / _MANIFEST
    try:
        manifest = Manifest.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ArchiveError(
            f"RESTORE={folder} is no finished export: {file.name} cannot be read "
            f"({error.strerror}); name a folder that KEEP=models has made"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise ArchiveError(
            f"{file} is not what this version writes: {where}: {first['msg']}; use the version "
            "that made it"
        ) from error
    archive = Archive(folder)
    archive.check(manifest)
    return archive, manifest


def content_of(path: Path) -> Content:
    """Return size and checksum of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Content(bytes=os.fstat(file.fileno()).st_size, sha256=digest)


def _part(folder: Path) -> Path:
    return folder / f"{_MANIFEST}.part"


def _sync(path: Path) -> None:
    """Bring a file or the names in a folder to the disk, and let memory forget them.

    What is read afterwards comes from the disk.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _check(path: Path, wanted: Content) -> None:
    try:
        found = content_of(path)
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read ({error.strerror}); use another copy") from error
    if found != wanted:
        raise ArchiveError(
            f"{path} is not what was exported: {found.bytes} bytes with SHA-256 {found.sha256}, "
            f"not {wanted.bytes} bytes with {wanted.sha256}; use another copy of the export"
        )


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"
