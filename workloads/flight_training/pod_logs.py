"""The lines of Pods, which outlive the Pods: a controller may delete those that failed at once."""

import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from mlops_rollout.kubectl import Access, Kubectl


class PodLogs(Kubectl):
    """Follows Pods of a namespace, each by a `kubectl logs --follow` that ends with this context.

    Args:
        access: how the cluster is reached.
        namespace: the namespace.
    """

    def __init__(self, access: Access, namespace: str) -> None:
        super().__init__(access, namespace)
        self._open = ExitStack()
        self._followers: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Make the folder of the lines."""
        self._folder = Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what follows, and forget the lines."""
        self._open.close()

    @property
    def pods(self) -> list[str]:
        """Names of the Pods that are or were followed."""
        return sorted(self._followers)

    def follow(self, pod: str) -> None:
        """Begin to follow a Pod that has started; doing it again changes nothing."""
        if pod in self._followers:
            return
        command = self._open.enter_context(self.command("logs", "--follow", pod))
        file = self._open.enter_context((self._folder / pod).open("wb"))
        process = self._open.enter_context(
            subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL)
        )
        self._open.callback(process.terminate)
        self._followers[pod] = process

    def lines(self, pod: str) -> list[str]:
        """Return what a Pod has said so far; nothing for one that is not followed."""
        if pod not in self._followers:
            return []
        said = (self._folder / pod).read_text(errors="replace")
        # A line that is being written is shown when it is whole.
        return said.rpartition("\n")[0].splitlines()

    def wait(self, seconds: float) -> None:
        """Wait until the followed Pods have said all, but no longer than some seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(p.poll() is None for p in self._followers.values()):
            time.sleep(0.1)
