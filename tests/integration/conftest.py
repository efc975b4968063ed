"""Real programs in processes of this machine, without a cluster: what a unit test cannot show.

Pulumi's engine, MLflow with its tables, Kubeflow's local runs, moto, and kill points that need a
process of their own.
"""

from tests.unit.conftest import (
    _no_ambient_credentials,
    _no_ambient_credentials_of_modules,
    _open_event_loop,
    checkout,
)
from tests.unit.flight_delay.conftest import folder, whole

__all__ = [
    "_no_ambient_credentials",
    "_no_ambient_credentials_of_modules",
    "_open_event_loop",
    "checkout",
    "folder",
    "whole",
]
