"""The pipeline's Deploy step: a version is registered, rolled out, and only then the champion.

What serves is in the variable MODEL_SERVERS, a JSON list of `ModelServer`; the stack sets it. Where
it is empty, as on a laptop, the version becomes the champion and nothing serves it.
"""

import json
import os
from typing import Final

from flight_delay import deploy as registering
from flight_rollout import labelled_sample, promotion, rollout
from flight_rollout.engine import ModelServer
from flight_rollout.errors import ServingError
from flight_rollout.kubectl import Access
from flight_rollout.promotion import Decision
from flight_rollout.registry import CHAMPION, Registered, Registry

VARIABLE: Final = "MODEL_SERVERS"


def deploy(*, run_id: str, model_name: str, data: str, canary_percent: int) -> str:
    """Register a run's model, serve it, and promote it.

    Args:
        run_id: MLflow's run that holds the model.
        model_name: registered model.
        data: folder or `s3://bucket/prefix` of the flights that it is tested with.
        canary_percent: share of the requests that it gets beside the champion, which it then does
            not replace; 0 replaces it. Without servers or champion it has nothing to share.

    Returns:
        The registered version.

    Raises:
        ServingError: it does not serve; the champion serves on.
        TrackingError: MLflow does not answer or the run has no model.
    """
    version = registering.register(run_id=run_id, model_name=model_name)
    servers = _servers(model_name)
    if not servers:
        registering.promote(version=version, model_name=model_name)
        return version
    registry = Registry(os.environ["MLFLOW_TRACKING_URI"], model_name)

    def decide(_completed: bool) -> Decision:
        new, champion = _registered(registry, version), registry.by_alias(CHAMPION)
        if not canary_percent or champion is None or champion.version.number == version:
            return Decision(champion=new)
        return Decision(champion=champion, challenger=new, percent=canary_percent)

    promotion.serve(
        decide,
        registry=registry,
        servers=servers,
        access=Access(),
        sample=lambda: labelled_sample.read(data, month=rollout.MONTH, flights=rollout.FLIGHTS),
    )
    return version


def _registered(registry: Registry, number: str) -> Registered:
    found = registry.by_number(number)
    if found is None:
        raise ServingError(f"version {number} is not in the registry any more")
    return found


def _servers(model_name: str) -> list[ModelServer]:
    found = [ModelServer(**each) for each in json.loads(os.environ.get(VARIABLE) or "[]")]
    return [server for server in found if server.model == model_name]
