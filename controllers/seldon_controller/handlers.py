"""The events that `kopf run` watches for: each names a SeldonDeployment to look at.

There is no finalizer: owner references let the API server remove everything, controller or not.
"""

import asyncio
import contextlib
import json
import os
from typing import Any

import kopf

from seldon_controller.cluster import GROUP, PLURAL, Cluster
from seldon_controller.objects import DEPLOYMENT_LABEL, Images, Server
from seldon_controller.worker import Worker

_OURS = {DEPLOYMENT_LABEL: kopf.PRESENT}


def _images() -> Images:
    servers = json.loads(os.environ["PREPACKAGED_SERVERS"])
    return Images(
        initializer=os.environ["MODEL_INITIALIZER_IMAGE"],
        servers={name: Server(**server) for name, server in servers.items()},
    )


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    """Begin to look at SeldonDeployments."""
    # Problems are in the status.
    settings.posting.enabled = False
    memo.worker = Worker(Cluster(os.environ["WATCHED_NAMESPACE"]), _images())
    memo.task = asyncio.create_task(memo.worker.run())


@kopf.on.cleanup()
async def stop(memo: kopf.Memo, **_: Any) -> None:
    """Let the one end that is being looked at."""
    memo.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await memo.task


@kopf.on.event(GROUP, "v1", PLURAL)
async def written(name: str, namespace: str, memo: kopf.Memo, **_: Any) -> None:
    """Look at a SeldonDeployment that is new or changed."""
    memo.worker.look_at(namespace, name)


@kopf.on.event("apps", "v1", "deployments", labels=_OURS)
@kopf.on.event("", "v1", "services", labels=_OURS)
@kopf.on.event("", "v1", "pods", labels=_OURS)
async def moved(labels: Any, namespace: str, memo: kopf.Memo, **_: Any) -> None:
    """Look at the SeldonDeployment of an object that is new, changed or gone."""
    memo.worker.look_at(namespace, labels[DEPLOYMENT_LABEL])
