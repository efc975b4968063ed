"""The commands' side of all workloads, one line each, in the order of `composition.workloads`."""

from typing import Final

from mlops_workloads.commands import WorkloadCommands
from mlops_workloads.flight_delay_commands import FlightDelayCommands

ALL_COMMANDS: Final[tuple[WorkloadCommands, ...]] = (FlightDelayCommands(),)
