"""The folder of an export.

manifest.json        what there is: sizes, checksums, versions; written last
objects.jsonl        the buckets' objects, one a line, in the order in which they are put back
objects/<sha256>     their contents, whatever characters their keys have
mlflow.db            MLflow's database, SQLite
kubeflow.sql.gz      Kubeflow's databases, as SQL; only with KEEP=all
homes/<name>.tar     notebooks' homes; only with KEEP=all
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlops_stack.backup.errors import ArchiveError

_MANIFEST = "manifest.json"
# What files need beside their content, and the manifest.
_OVERHEAD = 1.05

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# Names of files come from it: no path may.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=255)]


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


class Dump(_Part):
    """Kubeflow's databases, with ML Metadata's.

    Attributes:
        content: the file, which is compressed.
        sha256: checksum of its SQL without the rows of schedules, which change by themselves.
        counts: how much of what is in it.
        stack_schedules: ids of the schedules that the stack's own program makes.
    """

    content: Content
    sha256: Sha256
    counts: dict[str, int]
    stack_schedules: tuple[str, ...] = ()


class Home(_Part):
    """A volume of a notebook.

    Attributes:
        notebook: the notebook's name.
        namespace: its namespace.
        volume: what the notebook calls the volume.
        file: name of the tar.
        content: the tar.
        files: how many files are in it.
        bytes: their size.
        state: checksum of names, sizes and times when it was copied.
    """

    notebook: str
    namespace: str
    volume: str
    file: FileName
    content: Content
    files: int
    bytes: int
    state: Sha256

    @property
    def label(self) -> str:
        """Return what a user calls it."""
        return f"{self.namespace}/{self.notebook} ({self.volume})"


class Object(_Part):
    """An object of a bucket, one of its versions, or the mark of its deletion.

    Attributes:
        bucket: the bucket's purpose in the stack, since on AWS its name is another; else its name.
        key: the object's key.
        content: what it holds; None for the mark of a deletion.
        content_type: its media type.
        metadata: what its writer noted with it.
        headers: other headers of its writer, as botocore names them.
        tags: its tags.
    """

    bucket: str
    key: str
    content: Content | None = None
    content_type: str = ""
    metadata: dict[str, str] = {}
    headers: dict[str, str] = {}
    tags: dict[str, str] = {}


class Index(_Part):
    """The list of the objects.

    Attributes:
        content: the file.
        count: how many objects, versions and marks of deletions it has.
        buckets: the buckets.
        versioned: those of them of which every version is there; of the others the latest is.
    """

    content: Content
    count: int
    buckets: tuple[str, ...]
    versioned: tuple[str, ...] = ()


class Manifest(_Part):
    """What an export holds.

    Attributes:
        format: version of this description; 1 has the objects in itself.
        kept: what was asked for.
        made: when, in UTC as ISO 8601 writes it.
        stack: the stack that it comes from.
        database: MLflow's database.
        index: the list of the objects; None in format 1.
        objects: the objects, in format 1 alone.
        kubeflow: Kubeflow's databases; None if they were not kept.
        homes: notebooks' homes.
    """

    format: Literal[1, 2] = 2
    kept: Literal["models", "all"] = "models"
    made: str
    stack: str
    database: Database
    index: Index | None = None
    objects: tuple[Object, ...] = ()
    kubeflow: Dump | None = None
    homes: tuple[Home, ...] = ()

    @property
    def object_count(self) -> int:
        """Return how many objects, versions and marks of deletions there are."""
        return self.index.count if self.index else len(self.objects)


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

    @property
    def kubeflow(self) -> Path:
        """Return the file of Kubeflow's databases."""
        return self.folder / "kubeflow.sql.gz"

    @property
    def index(self) -> Path:
        """Return the file of the list of the objects."""
        return self.folder / "objects.jsonl"

    def home(self, home: Home) -> Path:
        """Return the file of a notebook's home."""
        return self.folder / "homes" / home.file

    def object(self, content: Content) -> Path:
        """Return the file of an object's content."""
        return self.folder / "objects" / content.sha256

    def objects(self, manifest: Manifest) -> Iterator[Object]:
        """Return the objects in the order in which they are put back.

        Raises:
            ArchiveError: the list is not what this version writes.
        """
        yield from manifest.objects
        if manifest.index is None:
            return
        with self.index.open("rb") as lines:
            for line in lines:
                try:
                    yield Object.model_validate_json(line)
                except ValidationError as error:
                    raise ArchiveError(_unknown(self.index, error)) from error

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
        for file in (_part(self.folder), self.database, self.kubeflow, self.index):
            file.unlink(missing_ok=True)
        for folder in ("objects", "homes"):
            shutil.rmtree(self.folder / folder, ignore_errors=True)
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
                for name in (*files, *folders):
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
        for path, content in self.whole_files(manifest).items():
            _check(path, content)
        # Each content once, however many objects share it. Its name is its checksum.
        for path in sorted((self.folder / "objects").glob("*")):
            if len(path.name) == hashlib.sha256().digest_size * 2:
                _check(path, Content(bytes=path.stat().st_size, sha256=path.name))
        for found in self.objects(manifest):
            if found.content and _size(self.object(found.content)) != found.content.bytes:
                _check(self.object(found.content), found.content)

    def whole_files(self, manifest: Manifest) -> dict[Path, Content]:
        """Return what each file must hold, but for the contents of objects."""
        whole = {self.database: manifest.database.content}
        if manifest.index:
            whole[self.index] = manifest.index.content
        if manifest.kubeflow:
            whole[self.kubeflow] = manifest.kubeflow.content
        return whole | {self.home(home): home.content for home in manifest.homes}

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


class IndexWriter:
    """Writes the list of the objects, so that memory does not grow with it."""

    def __init__(self, target: Archive) -> None:
        self._target = target
        self._digest, self._bytes, self._count = hashlib.sha256(), 0, 0
        target.index.touch(mode=0o600)
        self._file: IO[bytes] = target.index.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, found: Object) -> None:
        """Note an object."""
        line = found.model_dump_json(exclude_defaults=True).encode() + b"\n"
        self._file.write(line)
        self._digest.update(line)
        self._bytes += len(line)
        self._count += 1

    def close(self, buckets: tuple[str, ...], versioned: tuple[str, ...]) -> Index:
        """End the list and describe it."""
        self._file.close()
        content = Content(bytes=self._bytes, sha256=self._digest.hexdigest())
        return Index(content=content, count=self._count, buckets=buckets, versioned=versioned)


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
            f"{folder} has {mib(free)} of free space and needs {mib(wanted)}; free some, or name "
            "a folder elsewhere with KEEP_TO="
        )


def read(folder: Path) -> tuple[Archive, Manifest]:
    """Return an export whose every file is there and unharmed.

    Raises:
        ArchiveError: it is no export, or not whole.
    """
    archive, manifest = look(folder)
    archive.check(manifest)
    return archive, manifest


def look(folder: Path) -> tuple[Archive, Manifest]:
    """Return an export whose large files are there with their sizes; none of them is read.

    Raises:
        ArchiveError: it is no export, or one of them is missing or has another size.
    """
    file = folder / _MANIFEST
    try:
        manifest = Manifest.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ArchiveError(
            f"RESTORE={folder} is no finished export: {file.name} cannot be read "
            f"({error.strerror}); name a folder that `make backup` or KEEP= has made"
        ) from error
    except ValidationError as error:
        raise ArchiveError(_unknown(file, error)) from error
    archive = Archive(folder)
    for path, content in archive.whole_files(manifest).items():
        if _size(path) != content.bytes:
            _check(path, content)
    return archive, manifest


def content_of(path: Path) -> Content:
    """Return size and checksum of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Content(bytes=os.fstat(file.fileno()).st_size, sha256=digest)


def mib(size: int) -> str:
    """Return a size as people read it."""
    return f"{size / (1 << 20):,.0f} MiB"


def _unknown(file: Path, error: ValidationError) -> str:
    first: Any = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or "it"
    return (
        f"{file} is not what this version writes: {where}: {first['msg']}; use the version that "
        "made it"
    )


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


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


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
