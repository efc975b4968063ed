"""MLflow's database, reached through its Pod with the stack's own kubeconfig."""

import contextlib
import json
import subprocess
from pathlib import Path
from typing import IO, Any

from mlops_stack.backup.archive import Content, Database
from mlops_stack.backup.errors import KeepError
from mlops_stack.backup.pods import Pods

# As platform/mlops_platform/tracking/mlflow.py lays it out.
_NAMESPACE = "mlflow"
_SELECTOR = "app.kubernetes.io/name=mlflow"
_SERVER = "http://127.0.0.1:5000"
_DATABASE = "/data/mlflow.db"
_SCRATCH = "/tmp/mlops-kept.db"  # noqa: S108 - an emptyDir of the Pod
_READY_SECONDS = 180
_PROGRAM = Path(__file__).with_name("pod_script.py")
_WHAT = "MLflow's database"


class MlflowPod:
    """The Pod of a stack's MLflow server."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods

    def snapshot(self) -> Database:
        """Copy the database, as of one moment, to a scratch file of the Pod, and describe it.

        Two copies without a change between them have the same checksum.

        Raises:
            KeepError: the Pod cannot be reached, or its database is damaged.
        """
        self._program("wake", _SERVER)
        found = self._program("export", _DATABASE, _SCRATCH)
        content = Content(bytes=found.pop("bytes"), sha256=found.pop("sha256"))
        return Database(content=content, **found)

    def fetch(self, file: Path) -> None:
        """Bring the scratch file here.

        Raises:
            KeepError: the Pod cannot be reached.
        """
        file.touch(mode=0o600)
        with file.open("wb") as stream:
            self._exec("cat", _SCRATCH, stdout=stream)

    def forget(self) -> None:
        """Remove the scratch file, if the Pod can still be reached."""
        with contextlib.suppress(KeepError):
            self._exec("rm", "-f", _SCRATCH)

    def replace(self, file: Path, content: Content) -> None:
        """Give an empty server the database of an export, and start it again with that.

        Raises:
            KeepError: the server holds data of its own or is of another version, or the Pod cannot
                be reached.
        """
        with file.open("rb") as stream:
            self._program("restore", _DATABASE, _SCRATCH, content.sha256, stdin=stream)
        # The server has read its database when it started.
        self._pods.run(_WHAT, "delete", f"--namespace={_NAMESPACE}", self._pod(), "--wait=true")
        self._pods.run(
            *(_WHAT, "wait", f"--namespace={_NAMESPACE}", "pod", f"--selector={_SELECTOR}"),
            *("--for=condition=Ready", f"--timeout={_READY_SECONDS}s"),
        )

    def describe(self) -> dict[str, Any]:
        """Return the revision of the server's tables, and the numbers of what they hold.

        Raises:
            KeepError: the Pod cannot be reached.
        """
        self._program("wake", _SERVER)
        return self._program("describe", _DATABASE)

    def _program(
        self, command: str, *arguments: str, stdin: IO[bytes] | None = None
    ) -> dict[str, Any]:
        text = _PROGRAM.read_text()
        answer = self._exec(*("python3", "-c", text, command, *arguments), stdin=stdin)
        told: dict[str, Any] = json.loads(answer)
        return told

    def _exec(
        self, *words: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None
    ) -> bytes:
        given = ["--stdin"] if stdin else []
        command = ["exec", f"--namespace={_NAMESPACE}", *given, self._pod(), "--container=mlflow"]
        return self._pods.run(
            *(_WHAT, *command, "--", *words),
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or subprocess.PIPE,
        )

    def _pod(self) -> str:
        return self._pods.named(_NAMESPACE, _SELECTOR, "MLflow")
