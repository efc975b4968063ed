"""Notebooks' homes, each through a Pod of its own that has the volume.

A notebook may be stopped, and its image may have no Python; a Pod with MLflow's image and the
notebook's user reads any of them.
"""

import contextlib
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_stack import report
from mlops_stack.backup import archive
from mlops_stack.backup.archive import Archive, Home
from mlops_stack.backup.errors import KeepError
from mlops_stack.backup.pods import Pods

_PROGRAM = Path(__file__).with_name("home_pod_script.py")
_MOUNT = "/home-of-notebook"
_READY_SECONDS = 180
# Should this process be killed, its Pod ends by itself.
_LONGEST_SECONDS = 86_400


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A claim that a notebook mounts.

    Attributes:
        notebook: the notebook's name.
        namespace: its namespace.
        name: what the notebook calls the volume.
        claim: the claim.
        spec: of the notebook's Pod.
    """

    notebook: str
    namespace: str
    name: str
    claim: str
    spec: dict[str, Any]

    @property
    def label(self) -> str:
        """Return what a user calls it."""
        return f"{self.namespace}/{self.notebook} ({self.name})"


class Homes:
    """The volumes of a stack's notebooks."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods

    def volumes(self) -> list[Volume]:
        """Return them all, also those of notebooks that are stopped.

        Raises:
            KeepError: the API does not tell.
        """
        if not self._pods.get("crd", "notebooks.kubeflow.org", "--ignore-not-found"):
            return []
        return [
            Volume(
                notebook=found["metadata"]["name"],
                namespace=found["metadata"]["namespace"],
                name=volume["name"],
                claim=volume["persistentVolumeClaim"]["claimName"],
                spec=found["spec"]["template"]["spec"],
            )
            for found in self._pods.get("notebooks.kubeflow.org", "--all-namespaces")
            for volume in found["spec"]["template"]["spec"].get("volumes") or []
            if "persistentVolumeClaim" in volume
        ]

    def state(self, volume: Volume) -> dict[str, Any]:
        """Return how much a volume holds, and a checksum that another state would not have.

        Raises:
            KeepError: the volume cannot be read.
        """
        with self._pod(volume) as words:
            return self._state(volume, words)

    def save(self, target: Archive, volume: Volume) -> Home:
        """Copy a volume into an export.

        Raises:
            KeepError: the volume cannot be read, or changes meanwhile.
        """
        folder = target.folder / "homes"
        folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{volume.namespace}.{volume.notebook}.{volume.name}.tar"
        file = folder / name
        file.touch(mode=0o600)
        with self._pod(volume) as words, file.open("wb") as stream:
            before = self._state(volume, words)
            self._pods.run(volume.label, *words, *_program("pack"), stdout=stream)
            if self._state(volume, words) != before:
                raise KeepError(
                    f"notebook {volume.label} was written to while it was copied; save and close "
                    "what is open in it, then run the command again"
                )
        _check_tar(file, before)
        return Home(
            notebook=volume.notebook,
            namespace=volume.namespace,
            volume=volume.name,
            file=name,
            content=archive.content_of(file),
            files=before["files"],
            bytes=before["bytes"],
            state=before["sha256"],
        )

    def load(self, source: Archive, home: Home) -> None:
        """Copy a home of an export into the notebook of the same name, which starts again.

        What the notebook has under other names stays. Without such a notebook the home stays in
        the export, and the user is told.

        Raises:
            KeepError: the volume cannot be written, or does not hold what was copied.
        """
        wanted = (home.namespace, home.notebook, home.volume)
        for volume in self.volumes():
            if (volume.namespace, volume.notebook, volume.name) == wanted:
                break
        else:
            report.plain(
                f"  no notebook {home.namespace}/{home.notebook} here: its home stays in "
                f"{source.home(home)}"
            )
            return
        with self._pod(volume) as words, source.home(home).open("rb") as stream:
            command = (words[0], "--stdin", *words[1:], *_program("unpack"))
            answer = self._pods.run(volume.label, *command, stdin=stream)
        told = json.loads(answer)
        if (told["files"], told["bytes"]) != (home.files, home.bytes):
            raise KeepError(f"{volume.label} does not hold its {home.files} files as exported")
        # Its server has read some of them when it started.
        self._pods.run(
            *(volume.label, "delete", "pod", f"--namespace={volume.namespace}"),
            *(f"--selector=notebook-name={volume.notebook}", "--ignore-not-found"),
        )

    def _state(self, volume: Volume, words: list[str]) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._pods.run(volume.label, *words, *_program("state")))
        return told

    @contextlib.contextmanager
    def _pod(self, volume: Volume) -> Iterator[list[str]]:
        """Give the words that run a program in a Pod that has the volume."""
        digest = hashlib.sha256(f"{volume.namespace}/{volume.claim}".encode()).hexdigest()[:10]
        name, where = f"mlops-keeping-{digest}", f"--namespace={volume.namespace}"
        gone = ("delete", "pod", where, name, "--ignore-not-found", "--grace-period=1")
        # One of a command that was killed.
        self._pods.run(volume.label, *gone, "--wait=true")
        reader = manifest(name, volume, image=self._image(), node=self._node(volume))
        with io.BytesIO(json.dumps(reader).encode()) as text:
            self._pods.feed(volume.label, text, "create", "--filename=-")
        try:
            self._pods.run(
                *(volume.label, "wait", where, f"pod/{name}", "--for=condition=Ready"),
                f"--timeout={_READY_SECONDS}s",
            )
            yield ["exec", where, name, "--"]
        finally:
            with contextlib.suppress(KeepError):
                self._pods.run(volume.label, *gone, "--wait=false")

    def _image(self) -> str:
        """Return the image of MLflow's server: every stack has it, and it has Python."""
        (found, *_) = self._pods.get(
            "deployments", "--namespace=mlflow", "--selector=app.kubernetes.io/name=mlflow"
        )
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    def _node(self, volume: Volume) -> str:
        """Return the node of the notebook's Pod, which has the volume; empty for any."""
        pods = self._pods.get(
            "pods", f"--namespace={volume.namespace}", f"--selector=notebook-name={volume.notebook}"
        )
        return next((str(pod["spec"]["nodeName"]) for pod in pods if "nodeName" in pod["spec"]), "")


def manifest(name: str, volume: Volume, *, image: str, node: str) -> dict[str, Any]:
    """Return the Pod that reads a volume.

    Args:
        name: its name.
        volume: the volume.
        image: an image with Python.
        node: where it runs; empty for any.
    """
    spec = volume.spec
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": volume.namespace,
            "labels": {"app.kubernetes.io/part-of": "mlops-platform"},
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": _LONGEST_SECONDS,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            # The volume's files belong to this user.
            "securityContext": spec.get("securityContext") or {},
            "tolerations": spec.get("tolerations") or [],
            **({"nodeName": node} if node else {}),
            "containers": [
                {
                    "name": "keeping",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "infinity"],
                    "securityContext": spec["containers"][0].get("securityContext") or {},
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"memory": "256Mi"},
                    },
                    "volumeMounts": [{"name": "home", "mountPath": _MOUNT}],
                }
            ],
            "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": volume.claim}}],
        },
    }


def _program(command: str) -> tuple[str, ...]:
    return ("python3", "-c", _PROGRAM.read_text(), command, _MOUNT)


def _check_tar(file: Path, state: dict[str, Any]) -> None:
    """Refuse a tar that broke off.

    Raises:
        KeepError: it did.
    """
    files = 0
    try:
        with tarfile.open(file, "r|") as source:
            for member in source:
                files += member.isfile() or member.islnk()
    except (tarfile.TarError, OSError) as error:
        raise KeepError(f"{file.name} broke off ({error}); run the command again") from error
    if files != state["files"]:
        raise KeepError(
            f"{file.name} has {files} files, not {state['files']}; run the command again"
        )
