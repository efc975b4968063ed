"""The last words of a run's step, from its pod.

Kubeflow's API has an operation for logs, but a single-user server asks Kubernetes for them in no
namespace and is refused; kubectl reads them with the stack's own kubeconfig, on every cluster.
"""

import json
import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mlops_kubernetes.memory_file import memory_file
from mlops_toolchain import layout

_NAMESPACE = "kubeflow"
_TIMEOUT_SECONDS = 20
_NODE = "workflows.argoproj.io/node-name"

# The last lines of a step, by run and step, or why there are none; empty when its pod is gone.
StepLogs = Callable[[str, str], list[str]]


class _KubectlError(Exception):
    """kubectl did not answer; the message is what it, or the API server, said."""


def reader(kubeconfig: str) -> StepLogs:
    """Return a reader for the cluster of a kubeconfig, given as text."""
    return partial(_last_lines, kubeconfig)


def _last_lines(kubeconfig: str, run: str, step: str, lines: int = 15) -> list[str]:
    with memory_file(kubeconfig) as config:
        selector = f"pipeline/runid={run}"
        try:
            found = _kubectl(config, "get", "pods", "--selector", selector, "--output", "json")
            pod = newest_pod(found, step)
            if pod is None:
                return []
            log = _kubectl(config, "logs", pod, "--container", "main", "--tail", str(lines))
        except _KubectlError as error:
            # The run's own error is told anyway.
            return [f"(its log cannot be read: {error})"]
        return log.rstrip().splitlines() or ["(its log is empty)"]


def newest_pod(pods: str, step: str) -> str | None:
    """Return the name of the pod of a step's last try, or None.

    Args:
        pods: kubectl's list as JSON.
        step: the task's name.
    """
    # Argo notes the way to a pod: workflow.root.steps.train.executor(1), say. Drivers are named
    # after what they decide on, with a suffix.
    of_step = re.compile(rf"\.{re.escape(step)}\.executor\b")
    found = [
        pod["metadata"]
        for pod in json.loads(pods)["items"]
        if of_step.search(pod["metadata"].get("annotations", {}).get(_NODE, ""))
    ]
    newest = max(found, key=lambda m: str(m["creationTimestamp"]), default=None)
    return str(newest["name"]) if newest else None


def _kubectl(config: Path, *words: str) -> str:
    command = [str(layout.bin_dir() / "kubectl"), "--kubeconfig", str(config)]
    try:
        return subprocess.run(
            [*command, "--namespace", _NAMESPACE, *words],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=True,
        ).stdout
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or [f"kubectl ended with {error.returncode}"]
        raise _KubectlError(said[-1]) from error
    except subprocess.TimeoutExpired as error:
        raise _KubectlError(f"kubectl had no answer in {_TIMEOUT_SECONDS} s") from error
    except OSError as error:
        raise _KubectlError(f"kubectl cannot be run: {error}") from error
