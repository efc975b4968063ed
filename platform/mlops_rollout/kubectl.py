"""kubectl, on this machine with a stack's kubeconfig or in a Pod with its service account."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import urllib3

from mlops_rollout.errors import ServingError

_SECONDS: Final = 30


@dataclass(frozen=True, kw_only=True)
class Access:
    """How a cluster is reached.

    Attributes:
        program: kubectl.
        kubeconfig: text of a kubeconfig; empty in a Pod, which has a service account.
    """

    program: str = "kubectl"
    kubeconfig: str = ""


class Kubectl:
    """Reads and writes a namespace of a cluster.

    Args:
        access: how the cluster is reached.
        namespace: the namespace.
    """

    def __init__(self, access: Access, namespace: str) -> None:
        self._access, self._namespace = access, namespace

    def get(self, *words: str) -> list[dict[str, Any]]:
        """Return those that exist of the objects that the words of `kubectl get` name.

        Raises:
            ServingError: the API does not give them.
        """
        text = self.run("get", *words, "--ignore-not-found", "--output", "json")
        found: dict[str, Any] = json.loads(text or '{"items": []}')
        return list(found["items"]) if "items" in found else [found]

    def write(self, verb: str, manifest: Mapping[str, Any]) -> str:
        """Create or replace an object, as the verb says, and return its name.

        Raises:
            ServingError: the API refuses it.
        """
        words = (verb, "--filename", "-", "--output", "name")
        return self.run(*words, stdin=json.dumps(manifest)).strip().rpartition("/")[2]

    def post(self, service: str, port: int, path: str, body: Any) -> dict[str, Any]:
        """Return a Service's answer to a JSON document, through a forwarded port.

        Raises:
            ServingError: it does not answer, or with an error.
        """
        with (
            self.command("port-forward", f"service/{service}", f":{port}") as command,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as forward,
        ):
            try:
                line = forward.stdout.readline() if forward.stdout else ""
                # Forwarding from 127.0.0.1:40001 -> 9000
                found = re.search(r"127\.0\.0\.1:([0-9]+)", line)
                if not found:
                    raise ServingError(f"kubectl port-forward failed: {line.strip()}")
                url = f"http://127.0.0.1:{found[1]}/{path}"
                answer = urllib3.request("POST", url, json=body, timeout=_SECONDS, retries=False)
            except urllib3.exceptions.HTTPError as error:
                raise ServingError(f"{service} does not answer: {error}") from error
            finally:
                forward.terminate()
        text = answer.data.decode(errors="replace")
        if answer.status >= 400:
            raise ServingError(f"{service} answers {answer.status}: {text[:500]}")
        result: dict[str, Any] = json.loads(text)
        return result

    def run(self, *words: str, stdin: str = "", seconds: float = _SECONDS) -> str:
        """Return what a command prints.

        Raises:
            ServingError: it fails, or takes longer than the seconds.
        """
        with self.command(*words) as command:
            try:
                done = subprocess.run(
                    command,
                    input=stdin,
                    capture_output=True,
                    text=True,
                    timeout=seconds,
                    check=False,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise ServingError(f"kubectl {words[0]} failed: {error}") from error
        if done.returncode:
            raise ServingError(f"kubectl {words[0]} failed: {done.stderr.strip()}")
        return done.stdout

    @contextmanager
    def command(self, *words: str) -> Iterator[list[str]]:
        """Give a command's words, which work as long as this context lasts."""
        program = [self._access.program, f"--namespace={self._namespace}"]
        if not self._access.kubeconfig:
            yield [*program, *words]
            return
        # In memory: a file would stay behind if this process was killed.
        descriptor = os.memfd_create("kubeconfig", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(descriptor), "w") as file:
                file.write(self._access.kubeconfig)
            config = f"/proc/{os.getpid()}/fd/{descriptor}"
            # Before the words: what follows `--` is another program's.
            yield [*program, f"--kubeconfig={config}", *words]
        finally:
            os.close(descriptor)
