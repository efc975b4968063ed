"""The serving engines by name."""

from collections.abc import Mapping
from typing import Final

from mlops_rollout import inference_service, seldon_deployment
from mlops_rollout.engine import Engine

ENGINES: Final[Mapping[str, Engine]] = {
    "kserve": inference_service,
    "seldon": seldon_deployment,
}
