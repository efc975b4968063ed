"""Shows the work: live lines on a terminal, plain lines elsewhere."""

from typing import Protocol

from mlops_toolchain.artefact import Artefact


class Progress(Protocol):
    """Told what happens, from several threads."""

    def begin_fetch(self, count: int, place: str) -> None:
        """Say that a shared cache is asked."""

    def fetching(self, artefact: Artefact, size: int) -> None:
        """Say that a transfer of so many bytes begins."""

    def fetched(self, artefact: Artefact, size: int, seconds: float) -> None:
        """Say that a transfer of so many bytes has ended well."""

    def not_fetched(self, artefact: Artefact) -> None:
        """Say that a transfer that began has come to nothing."""

    def note(self, text: str) -> None:
        """Say what the user should know."""

    def begin(self, missing: list[Artefact]) -> None:
        """Say what will be built."""

    def started(self, artefact: Artefact) -> None:
        """Say that a build begins."""

    def waiting(self, artefact: Artefact) -> None:
        """Say that another process builds the same artefact."""

    def finished(self, artefact: Artefact, size: int, seconds: float) -> None:
        """Say that a build has ended well, with the result's size in bytes."""

    def failed(self, artefact: Artefact) -> None:
        """Say that a build has failed."""

    def went_without(self, reasons: list[str]) -> None:
        """Say that only optional artefacts have failed, and why."""

    def end(self) -> None:
        """Leave the terminal as it was."""


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def estimate(missing: list[Artefact]) -> float:
    """Return a rough duration in seconds: half of the work, for two cores, or the longest chain."""
    total = sum(artefact.seconds for artefact in missing)
    return max(total / 2, max((artefact.seconds for artefact in missing), default=0))


class PlainProgress:
    """A line for each event; for logs and pipes."""

    def __init__(self) -> None:
        self._count = 0
        self._done = 0

    def begin_fetch(self, count: int, place: str) -> None:
        """Print what is asked for how much."""
        self._say(f"{place} is asked for {count} artefacts")

    def fetching(self, artefact: Artefact, size: int) -> None:
        """Nothing: it takes seconds."""

    def fetched(self, artefact: Artefact, size: int, seconds: float) -> None:
        """Print bytes and duration."""
        self._say(f"✓ {artefact.name} {artefact.version} fetched, {_size(size)}, {seconds:.1f} s")

    def not_fetched(self, artefact: Artefact) -> None:
        """Nothing: the reason follows."""

    def note(self, text: str) -> None:
        """Print it."""
        self._say(text)

    def begin(self, missing: list[Artefact]) -> None:
        """Print how many artefacts are missing and how long they may take."""
        self._count = len(missing)
        self._say(f"{self._count} artefacts to build, about {_minutes(estimate(missing))}")

    def started(self, artefact: Artefact) -> None:
        """Print name, version and usual duration."""
        self._say(f"• {artefact.name} {artefact.version} (usually {_minutes(artefact.seconds)})")

    def waiting(self, artefact: Artefact) -> None:
        """Print that another process is at it."""
        self._say(f"• {artefact.name}: waiting for another build of it")

    def finished(self, artefact: Artefact, size: int, seconds: float) -> None:
        """Print size and duration."""
        self._done += 1
        done = f"[{self._done}/{self._count}]"
        self._say(f"✓ {artefact.name} built, {_size(size)}, {seconds:.1f} s {done}")

    def failed(self, artefact: Artefact) -> None:
        """Print the name; the reason follows at the end."""
        self._say(f"✗ {artefact.name}")

    def went_without(self, reasons: list[str]) -> None:
        """Print the reasons, and how to try again."""
        for line in "\n".join(reasons).splitlines():
            self._say(f"  {line}")
        self._say("  the stack goes without; `make toolchain` tries again")

    def end(self) -> None:
        """Nothing to tidy."""

    @staticmethod
    def _say(text: str) -> None:
        print(f"[toolchain] {text}", flush=True)


class LiveProgress(PlainProgress):
    """Adds a spinner with elapsed time for each running build."""

    def __init__(self) -> None:
        super().__init__()
        # rich costs a quarter of a second to import; a run without work never shows anything.
        from rich.progress import (  # noqa: PLC0415
            Progress as Bars,
        )
        from rich.progress import (  # noqa: PLC0415
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        self._bars = Bars(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._tasks: dict[str, int] = {}

    def begin_fetch(self, count: int, place: str) -> None:
        """Take the terminal."""
        super().begin_fetch(count, place)
        self._bars.start()

    def fetching(self, artefact: Artefact, size: int) -> None:
        """Add a spinner."""
        self._add(artefact, f"{artefact.name} {artefact.version} ({_size(size)})")

    def fetched(self, artefact: Artefact, size: int, seconds: float) -> None:
        """Turn the spinner into a line."""
        self._remove(artefact)
        super().fetched(artefact, size, seconds)

    def not_fetched(self, artefact: Artefact) -> None:
        """Remove the spinner."""
        self._remove(artefact)

    def begin(self, missing: list[Artefact]) -> None:
        """Take the terminal."""
        super().begin(missing)
        self._bars.start()

    def started(self, artefact: Artefact) -> None:
        """Add a spinner."""
        minutes = _minutes(artefact.seconds)
        self._add(artefact, f"{artefact.name} {artefact.version} (usually {minutes})")

    def finished(self, artefact: Artefact, size: int, seconds: float) -> None:
        """Turn the spinner into a line."""
        self._remove(artefact)
        super().finished(artefact, size, seconds)

    def failed(self, artefact: Artefact) -> None:
        """Turn the spinner into a line."""
        self._remove(artefact)
        super().failed(artefact)

    def end(self) -> None:
        """Give the terminal back."""
        self._bars.stop()

    def _add(self, artefact: Artefact, text: str) -> None:
        self._tasks[artefact.name] = self._bars.add_task(text, total=None)

    def _remove(self, artefact: Artefact) -> None:
        task = self._tasks.pop(artefact.name, None)
        if task is not None:
            self._bars.remove_task(task)  # type: ignore[arg-type]
