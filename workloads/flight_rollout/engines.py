"""The serving engines by name."""

from collections.abc import Mapping
from typing import Final

from flight_rollout import inference_service, seldon_deployment
from flight_rollout.engine import Engine

ENGINES: Final[Mapping[str, Engine]] = {
    "kserve": inference_service,
    "seldon": seldon_deployment,
}
