"""A stack's cluster, by kubectl: objects, and programs in its Pods whose data is streamed."""

import contextlib
import gzip
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from mlops_kubernetes.memory_file import memory_file
from mlops_stack.backup.errors import KeepError
from mlops_toolchain import layout

_CHUNK_BYTES = 1 << 20


class Pods:
    """The Pods of a cluster.

    Args:
        kubeconfig: file that says how the cluster is reached.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self._kubectl = [str(layout.bin_dir() / "kubectl"), f"--kubeconfig={kubeconfig}"]

    def get(self, *words: str) -> list[dict[str, Any]]:
        """Return those that exist of the objects that the words of `kubectl get` name.

        Raises:
            KeepError: the API does not give them.
        """
        text = self.run(f"the cluster ({words[0]})", "get", *words, "--output=json")
        # With --ignore-not-found there may be nothing.
        found: dict[str, Any] = json.loads(text or b'{"items": []}')
        return list(found["items"]) if "items" in found else [found]

    def named(self, namespace: str, selector: str, what: str) -> str:
        """Return the name of a Pod with a label.

        Raises:
            KeepError: there is none, or the API does not tell.
        """
        words = ("get", "pods", f"--namespace={namespace}", f"--selector={selector}")
        running = "--field-selector=status.phase=Running"
        names = self.run(what, *words, running, "--output=name").decode().split()
        if not names:
            raise KeepError(f"the stack has no running Pod of {what}; run `make up` first")
        return names[0]

    def run(
        self,
        what: str,
        *words: str,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        stdout: IO[bytes] | int = subprocess.PIPE,
    ) -> bytes:
        """Run a command of kubectl and return what it prints, unless that goes elsewhere.

        Args:
            what: what is asked, for the message.
            words: the command.
            stdin: what it reads.
            stdout: where its output goes.

        Raises:
            KeepError: it fails.
        """
        done = subprocess.run(
            [*self._kubectl, *words],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            raise KeepError(f"{what} cannot be reached or refuses: {_reason(done.stderr)}")
        return done.stdout or b""

    def feed(self, what: str, source: IO[bytes] | gzip.GzipFile, *words: str) -> bytes:
        """Run a command of kubectl that reads what a stream has, and return what it prints.

        Raises:
            KeepError: it fails.
        """
        with (
            tempfile.TemporaryFile() as printed,
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                [*self._kubectl, *words], stdin=subprocess.PIPE, stdout=printed, stderr=errors
            ) as process,
        ):
            assert process.stdin is not None  # noqa: S101 - a pipe was asked for
            # One that ends before the stream says why.
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                shutil.copyfileobj(source, stdin, _CHUNK_BYTES)
            if process.wait():
                errors.seek(0)
                raise KeepError(f"{what} cannot be reached or refuses: {_reason(errors.read())}")
            printed.seek(0)
            return printed.read()

    @contextlib.contextmanager
    def output(self, what: str, *words: str) -> Iterator[IO[bytes]]:
        """Give the output of a command of kubectl while it runs.

        Raises:
            KeepError: it fails.
        """
        # A file, not a pipe, for the errors: nobody reads them before the end.
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                [*self._kubectl, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            ) as process,
        ):
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            try:
                yield process.stdout
            except BaseException:
                process.kill()
                raise
            if process.wait():
                errors.seek(0)
                raise KeepError(f"{what} cannot be reached or refuses: {_reason(errors.read())}")


@contextlib.contextmanager
def of_cluster(kubeconfig: str) -> Iterator[Pods]:
    """Give access to the cluster of a kubeconfig, which is given as text."""
    with memory_file(kubeconfig) as file:
        yield Pods(file)


def _reason(stderr: bytes) -> str:
    # The last line says it; those before are a program's way there.
    lines = (stderr.decode(errors="replace").strip() or "no reason").splitlines()
    told = [line for line in lines if not line.startswith("command terminated with")]
    return (told or lines)[-1]
