"""The events that `kopf run` watches for; what they mean is in `reconcile`.

There is no finalizer: owner references let the API server remove everything, controller or not.
"""

import json
import os
from typing import Any

import kopf

from seldon_controller import reconcile
from seldon_controller.cluster import GROUP, PLURAL, Cluster
from seldon_controller.manifest import ManifestError
from seldon_controller.objects import DEPLOYMENT_LABEL, Images, Server

_PREFIX = "seldon-controller.mlops-platform"


def _images() -> Images:
    servers = json.loads(os.environ["PREPACKAGED_SERVERS"])
    return Images(
        initializer=os.environ["MODEL_INITIALIZER_IMAGE"],
        servers={name: Server(**server) for name, server in servers.items()},
    )


@kopf.on.startup()
def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    """Prepare what the handlers use."""
    settings.persistence.finalizer = f"{_PREFIX}/finalizer"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=_PREFIX)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=_PREFIX)
    # Problems are in the status; a failed manifest is an Event beside it.
    settings.posting.level = 40
    settings.execution.max_workers = 4
    memo.cluster = Cluster()
    memo.images = _images()


@kopf.on.resume(GROUP, "v1", PLURAL)
@kopf.on.create(GROUP, "v1", PLURAL)
@kopf.on.update(GROUP, "v1", PLURAL, field="spec")
def changed(name: str, namespace: str, memo: kopf.Memo, **_: Any) -> None:
    """Apply a SeldonDeployment that is new or changed."""
    # The event may be older than the object.
    body = memo.cluster.read(namespace, name)
    if body is None:
        return
    try:
        reconcile.reconcile(memo.cluster, body, memo.images)
    except ManifestError as error:
        raise kopf.PermanentError(str(error)) from error


@kopf.on.event("apps", "v1", "deployments", labels={DEPLOYMENT_LABEL: kopf.PRESENT})
@kopf.on.event("", "v1", "pods", labels={DEPLOYMENT_LABEL: kopf.PRESENT})
def moved(labels: Any, namespace: str, memo: kopf.Memo, **_: Any) -> None:
    """Report what became of a SeldonDeployment's objects."""
    reconcile.report(memo.cluster, namespace, labels[DEPLOYMENT_LABEL], memo.images)
