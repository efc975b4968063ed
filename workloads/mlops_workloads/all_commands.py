"""What commands ask of each workload, in the order of `composition.workloads`."""

from typing import Final

from mlops_workloads.commands import WorkloadCommands
from mlops_workloads.flight_delay_commands import FlightDelayCommands

ALL_COMMANDS: Final[tuple[WorkloadCommands, ...]] = (
    # One line each.
    FlightDelayCommands(),
)
