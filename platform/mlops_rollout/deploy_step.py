"""A pipeline's Deploy step: a registered version is rolled out, and only then the champion.

What serves is in the variable MODEL_SERVERS, a JSON list of `ModelServer`; the stack sets it. It is
empty on a laptop, and on a stack without an engine.
"""

import json
import os
from collections.abc import Callable
from typing import Final

from mlops_rollout import promotion
from mlops_rollout.engine import ModelServer
from mlops_rollout.errors import ServingError
from mlops_rollout.kubectl import Access
from mlops_rollout.promotion import Decision
from mlops_rollout.registry import CHAMPION, RegisteredVersion, Registry
from mlops_rollout.sample import Sample

VARIABLE: Final = "MODEL_SERVERS"


def serve(
    version: str, *, model_name: str, sample: Callable[[], Sample], canary_percent: int = 0
) -> bool:
    """Serve a registered version, and promote it.

    Args:
        version: its number.
        model_name: registered model.
        sample: reads what it is tested with.
        canary_percent: share of the requests that it gets beside the champion, which it then does
            not replace; 0 replaces it. Without a champion it has nothing to share.

    Returns:
        Whether anything serves the model here. Where nothing does, nothing was changed.

    Raises:
        RegistryError: MLflow does not answer.
        ServingError: it does not serve; the champion serves on.
    """
    servers = _servers(model_name)
    if not servers:
        return False
    registry = Registry(os.environ["MLFLOW_TRACKING_URI"], model_name)

    def decide(_completed: bool) -> Decision:
        new, champion = _registered(registry, version), registry.by_alias(CHAMPION)
        if not canary_percent or champion is None or champion.version.number == version:
            return Decision(champion=new)
        return Decision(champion=champion, challenger=new, percent=canary_percent)

    promotion.serve(decide, registry=registry, servers=servers, access=Access(), sample=sample)
    return True


def _registered(registry: Registry, number: str) -> RegisteredVersion:
    found = registry.by_number(number)
    if found is None:
        raise ServingError(f"version {number} is not in the registry any more")
    return found


def _servers(model_name: str) -> list[ModelServer]:
    found = [ModelServer.read(each) for each in json.loads(os.environ.get(VARIABLE) or "[]")]
    return [server for server in found if server.model == model_name]
