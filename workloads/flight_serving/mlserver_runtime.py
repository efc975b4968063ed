"""The flight-delay model behind MLServer."""

from typing import ClassVar

from flight_serving.schema import FlightSchema
from mlops_serving.mlserver_runtime import ClassifierRuntime


class FlightDelayRuntime(ClassifierRuntime):
    """Refuses flights that cannot be meant."""

    schema: ClassVar = FlightSchema()
