"""The flight-delay model behind Seldon's Python server."""

from typing import ClassVar

from flight_serving.schema import FlightSchema
from mlops_serving.seldon_model import Classifier


class FlightDelay(Classifier):
    """Refuses flights that cannot be meant."""

    schema: ClassVar = FlightSchema()
