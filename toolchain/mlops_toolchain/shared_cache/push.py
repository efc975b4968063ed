"""Pushes results that are there: archive first, manifest last, so that nobody reads half of one."""

import io
import tempfile
import time
from collections.abc import Iterable
from typing import BinaryIO, cast

from mlops_toolchain import layout
from mlops_toolchain.artefact import Artefact
from mlops_toolchain.build import RECORD, is_built, record
from mlops_toolchain.errors import ToolchainError
from mlops_toolchain.keys import key, result
from mlops_toolchain.shared_cache import manifest, places
from mlops_toolchain.shared_cache.archive import Hashing, NotPortableError, pack
from mlops_toolchain.shared_cache.manifest import Manifest, ManifestError, Record
from mlops_toolchain.shared_cache.opening import VARIABLE, open_store
from mlops_toolchain.shared_cache.store import ForbiddenError, NotThereError, Store


def push(artefacts: Iterable[Artefact]) -> None:
    """Push what is built and not there yet; print a line for each.

    Raises:
        ToolchainError: the environment names no cache, it takes no writes, or a result could not
            be pushed; those before it were.
    """
    store = open_store()
    if store is None:
        raise ToolchainError(
            f"{VARIABLE} is not set: name the cache to push to, a folder or s3://bucket/prefix"
        )
    start, pushed, sent, there = time.monotonic(), 0, 0, 0
    for artefact in filter(is_built, artefacts):
        if is_pushed(store, artefact):
            there += 1
            continue
        began = time.monotonic()
        try:
            size = push_one(store, artefact)
        except NotPortableError as error:
            print(f"[toolchain] {artefact.name} stays here: {error}", flush=True)
            continue
        pushed, sent = pushed + 1, sent + size
        print(
            f"[toolchain] ✓ {artefact.name} pushed, {size / 2**20:.0f} MiB, "
            f"{time.monotonic() - began:.1f} s",
            flush=True,
        )
    print(
        f"✓ shared cache: {pushed} pushed ({sent / 2**20:.0f} MiB), {there} were there "
        f"({time.monotonic() - start:.1f} s)",
        flush=True,
    )


def is_pushed(store: Store, artefact: Artefact) -> bool:
    """Return whether the cache has a manifest of this result, and the archive that it names."""
    try:
        with store.read(places.manifest_path(artefact)) as stream:
            text = stream.read(manifest.MOST_BYTES)
        found = manifest.parse(
            text, artefact=artefact.name, key=key(artefact.name), platform=places.machines()
        )
    except (NotThereError, ForbiddenError, ManifestError):
        return False
    return store.size(places.archive_path(artefact, found.archive)) == found.archive_bytes


def push_one(store: Store, artefact: Artefact) -> int:
    """Push one result; return the archive's size in bytes.

    Raises:
        NotPortableError: it links to programs of this machine.
        StoreError: the cache does not take it.
    """
    # A file without a name: nothing of it stays, however this ends.
    with tempfile.TemporaryFile(dir=layout.cache()) as file:
        hashing = Hashing(cast(BinaryIO, file))
        entries = pack(result(artefact), cast(BinaryIO, hashing), excluding=[RECORD])
        noted = record(artefact)
        made = Manifest(
            format=manifest.FORMAT,
            artefact=artefact.name,
            key=key(artefact.name),
            platform=places.machines(),
            archive=hashing.sha256,
            archive_bytes=hashing.bytes,
            record=Record(**{name: noted[name] for name in Record.model_fields}),
            entries=entries,
        )
        file.seek(0)
        store.write(places.archive_path(artefact, made.archive), cast(BinaryIO, file))
    text = made.model_dump_json(exclude_defaults=True).encode()
    store.write(places.manifest_path(artefact), io.BytesIO(text))
    return made.archive_bytes
