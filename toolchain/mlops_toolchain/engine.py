"""Obtains what is missing: from the shared cache, if there is one, else by building it.

Builds run in the order of needs, as many at once as the machine bears.
"""

import os
import shutil
import time
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from mlops_toolchain import layout
from mlops_toolchain.artefact import Artefact
from mlops_toolchain.artefacts import ARTEFACTS, BY_NAME
from mlops_toolchain.build import Processes, build, is_built, record
from mlops_toolchain.errors import ToolchainError
from mlops_toolchain.interruption import deferred
from mlops_toolchain.progress import Progress, estimate
from mlops_toolchain.shared_cache.opening import open_store
from mlops_toolchain.shared_cache.store import Store

# Go's builds write temporary files beside the results; a little room must stay for the system.
_RESERVE_MEGABYTES = 1024
# Python runs a signal's handler only once the main thread wakes, and a signal does not always wake
# it: one that comes just before it begins to wait, or that another thread gets, does not.
_SECONDS_BETWEEN_LOOKS = 0.2


def named(names: Iterable[str]) -> list[Artefact]:
    """Return the named artefacts without their needs; if none is named, all that there are.

    Raises:
        ToolchainError: a name is unknown.
    """
    wanted = list(names)
    unknown = sorted(set(wanted) - set(BY_NAME))
    if unknown:
        raise ToolchainError(
            f"unknown artefact {', '.join(unknown)}; there are {', '.join(sorted(BY_NAME))}"
        )
    return [BY_NAME[name] for name in wanted] or list(BY_NAME.values())


def closure(names: Iterable[str]) -> list[Artefact]:
    """Return the named artefacts and their needs, needs first.

    If none is named, these are all but those that must be.

    Raises:
        ToolchainError: a name is unknown.
    """
    wanted = [artefact.name for artefact in named(names)] if names else []
    ordered: dict[str, Artefact] = {}

    def add(artefact: Artefact) -> None:
        for need in artefact.needs:
            add(BY_NAME[need])
        ordered.setdefault(artefact.name, artefact)

    for name in wanted or [artefact.name for artefact in ARTEFACTS if not artefact.on_request]:
        add(BY_NAME[name])
    return list(ordered.values())


def missing(names: Iterable[str]) -> list[Artefact]:
    """Return what must be obtained for the named artefacts, needs first.

    What only builds read is not missed while the results of these builds are there. If none is
    named, it is all that commands read.

    Raises:
        ToolchainError: a name is unknown.
    """
    names = list(names)
    ordered = closure(names)
    included = _asked_for(names)
    for artefact in reversed(ordered):
        if artefact.name in included and not is_built(artefact):
            included.update(artefact.needs)
    return [a for a in ordered if a.name in included and not is_built(a)]


def wanted(names: Iterable[str], *, in_a_hurry: bool = False) -> list[Artefact]:
    """Return what `ensure` would obtain, needs first.

    Raises:
        ToolchainError: a name is unknown.
    """
    names = list(names)
    absent = missing(names)
    return _without_delays(absent, required(names)) if in_a_hurry else absent


def _asked_for(names: Iterable[str]) -> set[str]:
    """Return the names, or without any those of the view, and of what nothing else needs."""
    needed = {need for artefact in BY_NAME.values() for need in artefact.needs}
    return set(names) or {
        a.name for a in BY_NAME.values() if a.recipe.links() or a.name not in needed
    }


def check_disk(missing: Iterable[Artefact]) -> None:
    """Refuse to begin when the disk cannot hold what is missing.

    Raises:
        ToolchainError: it names what is needed and what is there, in MiB.
    """
    missing = list(missing)
    # Only builds that run at the same time have their temporary files at the same time.
    temporary = sorted((artefact.temporary_megabytes for artefact in missing), reverse=True)
    needed = sum(artefact.megabytes for artefact in missing) + sum(temporary[: _workers()])
    needed += _RESERVE_MEGABYTES
    free = shutil.disk_usage(layout.cache()).free // 2**20
    if free < needed:
        raise ToolchainError(
            f"{layout.cache()} has {free} MiB free and the missing artefacts need about {needed} "
            "MiB; free some space, or choose another disk with MLOPS_CACHE=FOLDER"
        )


def _make_cache() -> None:
    """Make the folder of results.

    Raises:
        ToolchainError: it cannot be made.
    """
    try:
        layout.cache().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolchainError(
            f"the cache cannot be made: {error}; choose another place with MLOPS_CACHE=FOLDER"
        ) from error


def _workers() -> int:
    """Return how many artefacts are built at once."""
    return max(2, os.cpu_count() or 2)


def required(names: Iterable[str]) -> set[str]:
    """Return the names of artefacts that must be there: the named ones, or all but the optional.

    Raises:
        ToolchainError: a name is unknown.
    """
    wanted = list(names) or [a.name for a in BY_NAME.values() if not a.optional]
    return {artefact.name for artefact in closure(wanted)}


def _without_delays(missing: list[Artefact], must: set[str]) -> list[Artefact]:
    """Leave out what is not required, unless that takes no longer than the rest."""
    needed = [artefact for artefact in missing if artefact.name in must]
    optional = [artefact for artefact in missing if artefact.name not in must]
    return missing if estimate(optional) <= estimate(needed) else needed


def ensure(names: Iterable[str], progress: Progress, *, in_a_hurry: bool = False) -> list[Artefact]:
    """Fetch or build what is missing of the named artefacts; return it.

    Args:
        names: what to obtain, with its needs; nothing means everything.
        progress: told what happens.
        in_a_hurry: leave out optional artefacts that would take longer than the rest.

    Raises:
        ToolchainError: some could not be built that are required; every independent one was
            finished first.
        KeyboardInterrupt: the user stopped; running commands were ended.
    """
    names = list(names)
    must = required(names)
    absent = wanted(names, in_a_hurry=in_a_hurry)
    if not absent:
        return []
    _make_cache()
    fetched: list[Artefact] = []
    if store := open_store():
        asked_for = _asked_for(names)
        fetched = _fetch(absent, asked_for, store, progress)
        absent = wanted(names, in_a_hurry=in_a_hurry)
    return [*fetched, *_build(absent, must, progress)]


def _fetch(
    absent: list[Artefact], asked_for: set[str], store: Store, progress: Progress
) -> list[Artefact]:
    """Fetch from the shared cache what is there; return it.

    What they need is fetched for those only that must be built.
    """
    from mlops_toolchain.shared_cache.fetch import SharedCache  # noqa: PLC0415 - only with a cache

    shared = SharedCache(store, progress)
    wave = [artefact for artefact in absent if artefact.name in asked_for]
    asked: set[str] = set()
    fetched: list[Artefact] = []
    progress.begin_fetch(len(wave), store.shown)
    try:
        while wave:
            asked |= {artefact.name for artefact in wave}
            found = shared.fetch(wave)
            fetched += found
            lost = [artefact for artefact in wave if artefact not in found]
            needs = {need for artefact in lost for need in artefact.needs} - asked
            wave = [a for a in absent if a.name in needs]
    finally:
        progress.end()
    return fetched


def _build(absent: list[Artefact], must: set[str], progress: Progress) -> list[Artefact]:
    """Build; return what was built.

    Raises:
        ToolchainError: some could not be built that are required.
    """
    if not absent:
        return []
    check_disk(absent)
    processes = Processes()
    progress.begin(absent)
    try:
        failures = _run(absent, processes, progress)
    finally:
        processes.stop()
        progress.end()
    lost = [artefact for artefact in absent if not is_built(artefact)]
    if must & {artefact.name for artefact in lost}:
        raise ToolchainError("\n".join(failures))
    if lost:
        progress.went_without(failures)
    return [artefact for artefact in absent if artefact not in lost]


def _run(missing: list[Artefact], processes: Processes, progress: Progress) -> list[str]:
    """Build in order; return why some are not there."""
    waiting = {artefact.name: artefact for artefact in missing}
    urgency = _urgency(missing)
    failed: dict[str, str] = {}
    running: dict[Future[None], Artefact] = {}
    workers = _workers()
    with deferred() as interruption, ThreadPoolExecutor(max_workers=workers) as pool:

        def one(artefact: Artefact) -> None:
            progress.started(artefact)
            start = time.monotonic()
            build(artefact, processes, lambda: progress.waiting(artefact))
            size = record(artefact)["bytes"]
            progress.finished(artefact, size, time.monotonic() - start)

        try:
            while waiting or running:
                interruption.check()
                busy = {artefact.name for artefact in running.values()}
                for artefact in _ready(waiting, busy, set(failed), urgency):
                    if len(running) >= workers:
                        break
                    del waiting[artefact.name]
                    running[pool.submit(one, artefact)] = artefact
                if not running:
                    break
                done, _ = wait(running, _SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED)
                for future in done:
                    artefact = running.pop(future)
                    error = future.exception()
                    if isinstance(error, ToolchainError):
                        failed[artefact.name] = str(error)
                        progress.failed(artefact)
                    elif error:
                        raise error
        except BaseException:
            processes.stop()
            raise
    blocked = [name for name in waiting if name not in failed]
    if blocked and failed:
        failed[""] = f"not built, because they need one that failed: {', '.join(blocked)}"
    return list(failed.values())


def _urgency(missing: list[Artefact]) -> dict[str, int]:
    """Return for each artefact the seconds from its start to the end of the longest chain on it."""
    urgency: dict[str, int] = {}
    # Needs come before what needs them, so that the reverse order meets every chain's end first.
    for artefact in reversed(missing):
        above = (urgency[other.name] for other in missing if artefact.name in other.needs)
        urgency[artefact.name] = artefact.seconds + max(above, default=0)
    return urgency


def _ready(
    waiting: dict[str, Artefact], busy: set[str], failed: set[str], urgency: dict[str, int]
) -> list[Artefact]:
    """Return what can start now, the one with the longest chain first: it bounds the end."""
    open_names = set(waiting) | busy | failed
    ready = [a for a in waiting.values() if not open_names & set(a.needs)]
    return sorted(ready, key=lambda artefact: -urgency[artefact.name])
