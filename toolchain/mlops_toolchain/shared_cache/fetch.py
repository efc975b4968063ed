"""Fetches results. Whatever is wrong with one is a line, and the result is built instead."""

import shutil
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from mlops_toolchain import layout
from mlops_toolchain.artefact import Artefact, OnPath
from mlops_toolchain.build import new_result
from mlops_toolchain.errors import ToolchainError
from mlops_toolchain.interruption import deferred
from mlops_toolchain.keys import key
from mlops_toolchain.shared_cache import manifest, places
from mlops_toolchain.shared_cache.archive import Hashing, unpack
from mlops_toolchain.shared_cache.manifest import Manifest
from mlops_toolchain.shared_cache.store import (
    ForbiddenError,
    NotThereError,
    Store,
    StoreError,
    TransferError,
)

SLOWEST_BYTES_PER_SECOND: Final = 64 * 2**10
"""A transfer that is slower on average takes longer than most builds."""

_PATIENCE_SECONDS = 15
_AT_ONCE = 4
_MOST_FAILURES = 3
_RESERVE_BYTES = 2**30


class FetchProgress(Protocol):
    """Told what is fetched, from several threads."""

    def fetching(self, artefact: Artefact, size: int) -> None:
        """Say that a transfer of so many bytes begins."""

    def fetched(self, artefact: Artefact, size: int, seconds: float) -> None:
        """Say that a result of so many transferred bytes is in its place."""

    def not_fetched(self, artefact: Artefact) -> None:
        """Say that a transfer that began has come to nothing."""

    def waiting(self, artefact: Artefact) -> None:
        """Say that another process makes the same result."""

    def note(self, text: str) -> None:
        """Say what the user should know."""


class _StoppedError(ToolchainError):
    """The user has interrupted the command."""


class SharedCache:
    """Results that another machine has made."""

    def __init__(self, store: Store, progress: FetchProgress) -> None:
        self._store = store
        self._progress = progress
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._failures = 0
        self._of_use = True
        self._absent: dict[str, list[str]] = {}

    def fetch(self, artefacts: Iterable[Artefact]) -> list[Artefact]:
        """Fetch what is there; return it.

        What is not there, or not as it should be, is said in a line for each reason.

        Raises:
            KeyboardInterrupt: the user stopped; nothing partial is left.
        """
        wanted = [a for a in artefacts if not (isinstance(a.recipe, OnPath) and a.recipe.on_path())]
        with deferred() as interruption, ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                futures = [pool.submit(self._one, artefact) for artefact in wanted]
                while not all(future.done() for future in futures):
                    interruption.check()
                    time.sleep(0.05)
                found = [future.result() for future in futures]
            except BaseException:
                self._stopping.set()
                raise
        for reason, names in self._absent.items():
            self._progress.note(f"{reason}: {', '.join(sorted(names))}")
        self._absent.clear()
        return [artefact for artefact, there in zip(wanted, found, strict=True) if there]

    def _one(self, artefact: Artefact) -> bool:
        """Return whether the result is there now."""
        if not self._of_use or self._stopping.is_set():
            return False
        try:
            self._fetch(artefact)
        except NotThereError:
            self._miss(artefact, "not in the shared cache")
        except ForbiddenError as error:
            self._miss(artefact, f"{error}, which may mean that it is not there")
        except _StoppedError:
            pass
        except (ToolchainError, OSError) as error:
            self._give_up(artefact, error)
        else:
            return True
        return False

    def _miss(self, artefact: Artefact, reason: str) -> None:
        with self._lock:
            self._absent.setdefault(reason, []).append(artefact.name)

    def _give_up(self, artefact: Artefact, error: Exception) -> None:
        with self._lock:
            if not self._of_use:
                return
            self._failures += 1
            if isinstance(error, StoreError) and not isinstance(error, TransferError):
                self._of_use = False
                self._progress.note(f"the shared cache is not used: {error}")
                return
            self._progress.note(f"{artefact.name} is not taken from the shared cache: {error}")
            if self._failures == _MOST_FAILURES:
                self._of_use = False
                self._progress.note("the shared cache is not asked any more")

    def _fetch(self, artefact: Artefact) -> None:
        found = self._manifest(artefact)
        self._check_disk(found)
        start = time.monotonic()
        with new_result(artefact, lambda: self._progress.waiting(artefact)) as new:
            if new is None:
                return
            self._progress.fetching(artefact, found.archive_bytes)
            try:
                self._transfer(artefact, found, new.folder)
            except BaseException:
                self._progress.not_fetched(artefact)
                raise
            new.note = {
                **found.record.model_dump(),
                "fetched": self._store.shown,
                "fetched_bytes": found.archive_bytes,
                "fetched_seconds": round(time.monotonic() - start, 1),
            }
        self._progress.fetched(artefact, found.archive_bytes, time.monotonic() - start)

    def _transfer(self, artefact: Artefact, found: Manifest, folder: Path) -> None:
        try:
            with self._store.read(places.archive_path(artefact, found.archive)) as stream:
                unpack(Hashing(cast(BinaryIO, _Watched(stream, self._check))), found, folder)
        except (NotThereError, ForbiddenError):
            # Whoever tidies the cache may have removed it.
            raise ToolchainError("its manifest is there and its archive is not") from None

    def _manifest(self, artefact: Artefact) -> Manifest:
        with self._store.read(places.manifest_path(artefact)) as stream:
            watched = _Watched(stream, self._check)
            text = b""
            while len(text) <= manifest.MOST_BYTES and (more := watched.read(2**18)):
                text += more
        return manifest.parse(
            text, artefact=artefact.name, key=key(artefact.name), platform=places.machines()
        )

    def _check(self, transferred: int, seconds: float) -> None:
        if self._stopping.is_set():
            raise _StoppedError
        allowed = _PATIENCE_SECONDS + transferred / SLOWEST_BYTES_PER_SECOND
        if seconds > allowed:
            raise TransferError(
                f"the transfer from {self._store.shown} is too slow ({transferred / 1024:.0f} KiB "
                f"in {seconds:.0f} s)"
            )

    @staticmethod
    def _check_disk(found: Manifest) -> None:
        free = shutil.disk_usage(layout.cache()).free
        if free < found.bytes + _RESERVE_BYTES:
            raise ToolchainError(
                f"it needs {found.bytes // 2**20} MiB and {layout.cache()} has "
                f"{free // 2**20} MiB free"
            )


class _Watched:
    """A stream of which each read is checked."""

    def __init__(self, stream: BinaryIO, check: Callable[[int, float], None]) -> None:
        self._stream = stream
        self._check = check
        self._bytes = 0
        self._start = time.monotonic()

    def read(self, size: int = -1) -> bytes:
        """Read at most so many bytes."""
        self._check(self._bytes, time.monotonic() - self._start)
        data = self._stream.read(size)
        self._bytes += len(data)
        return data
