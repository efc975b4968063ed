"""What goes with a stack: said before it is destroyed."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from mlops_stack import report
from mlops_stack.backup import policy
from mlops_stack.backup.archive import mib
from mlops_stack.backup.errors import KeepError
from mlops_stack.backup.objects import Store
from mlops_stack.backup.policy import Keep
from mlops_stack.pulumi_cli import Stack

_HOME = "mlops:workloads:Notebook$kubernetes:core/v1:PersistentVolumeClaim"
_SECONDS = 5


def tell(stack: Stack, keep: Keep | None) -> None:
    """Print what a destroy of the stack takes with it; nothing if that is nothing.

    Who does not answer is named: its cluster may be dead.

    Args:
        stack: the stack.
        keep: what is exported before.

    Raises:
        PulumiError: the stack cannot be read.
    """
    if keep and keep.what == policy.ALL:
        return
    # Each is a start of Pulumi's CLI.
    with ThreadPoolExecutor() as pool:
        outputs, resources = pool.submit(stack.outputs), pool.submit(stack.resources)
    found = outputs.result()
    lost = [
        *_asked("the buckets", found, "s3_url", partial(_objects, found, kept=keep is not None)),
        *([] if keep else _asked("MLflow", found, "mlflow_url", partial(_models, found))),
        *_asked("Kubeflow", found, "kubeflow_url", partial(_runs, found)),
        *_homes(resources.result()),
    ]
    if not lost:
        return
    report.plain("not kept, and destroyed with the stack:")
    for line in lost:
        report.plain(f"  {line}")
    options = "KEEP=all keeps it" if keep else "KEEP=all keeps it, KEEP=models the models"
    report.plain(f"  ({options})")


def _asked(
    who: str, outputs: dict[str, Any], address: str, ask: Callable[[], list[str]]
) -> list[str]:
    """Return what a server tells of itself, or that it does not."""
    if not outputs.get(address):
        return []
    parts = urlsplit(outputs[address])
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        # Clients try again and again, and the cluster may be dead.
        socket.create_connection((parts.hostname or "", port), timeout=_SECONDS).close()
        return ask()
    except (OSError, httpx.HTTPError, ValueError, BotoCoreError, ClientError, KeepError) as error:
        return [f"what {who} may hold, which does not answer: {error}"]


def _objects(outputs: dict[str, Any], *, kept: bool) -> list[str]:
    store = Store(outputs)
    kept_too = store.buckets(policy.MODELS) if kept else ()
    lost = tuple(name for name in store.buckets(policy.ALL) if name not in kept_too)
    sizes = store.sizes(lost, versions=False)
    return [
        f"bucket {name}: {count} objects, {mib(size)}"
        for name, (count, size) in sizes.items()
        if count
    ]


def _models(outputs: dict[str, Any]) -> list[str]:
    models, experiments = (
        len(
            _get(f"{outputs['mlflow_url']}/api/2.0/mlflow/{path}/search?max_results=1000").get(
                key, ()
            )
        )
        for path, key in (
            ("registered-models", "registered_models"),
            ("experiments", "experiments"),
        )
    )
    # MLflow makes the first itself.
    if not models and experiments <= 1:
        return []
    return [f"MLflow: {models} registered models, {experiments} experiments with their runs"]


def _runs(outputs: dict[str, Any]) -> list[str]:
    answer = _get(f"{outputs['kubeflow_url']}/apis/v2beta1/runs?page_size=1")
    count = int(answer.get("total_size", 0))
    return [f"Kubeflow: {count} runs with their records in ML Metadata"] if count else []


def _get(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(url, timeout=_SECONDS).raise_for_status().json()
    return found


def _homes(resources: list[dict[str, Any]]) -> list[str]:
    return [
        f"a notebook's home: claim {found['outputs']['metadata']['name']}"
        for found in resources
        if _HOME in found["urn"] and "metadata" in (found.get("outputs") or {})
    ]
