"""The flight-delay pipeline in a stack."""

from typing import ClassVar

from mlops_infra.image import Image
from mlops_platform.pipelines.pipeline import Pipeline

IMAGE = "flights"


class FlightDelayPipeline(Pipeline):
    """The pipeline of flights out of New York."""

    # As release 0.1.0 has named it in states.
    TOKEN: ClassVar = "mlops:workloads:FlightDelayPipeline"  # noqa: S105 - a resource's type
    IMAGES: ClassVar = (Image(IMAGE),)
