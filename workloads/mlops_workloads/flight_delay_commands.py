"""What commands ask of the flight-delay workload."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from flight_delay import months
from flight_pipeline import parameters as flight_parameters
from mlops_rollout.sample import Sample
from mlops_workloads import flight_delay_sample
from mlops_workloads.commands import ParametersError, WorkloadCommands


class FlightDelayCommands(WorkloadCommands):
    """Flights out of New York."""

    NAME: ClassVar = "flight-delay"
    TITLE: ClassVar = "chance of arriving late, flights of June 2013"

    def sample(self, rows: int = 0) -> Sample:
        """Return flights with their outcome; see `WorkloadCommands.sample`."""
        return flight_delay_sample.shown(rows) if rows else flight_delay_sample.tested_with()

    def parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a run; see `WorkloadCommands.parameters`."""
        try:
            return flight_parameters.validate(given)
        except flight_parameters.ParametersError as error:
            raise ParametersError(str(error)) from error

    def summary(self, parameters: Mapping[str, Any]) -> str:
        """Return the months that a run trains on."""
        return f"months {parameters['training_months']}"

    def wants_training_jobs(self, parameters: Mapping[str, Any]) -> bool:
        """Return whether a network is trained."""
        return bool(parameters["trainer"] != "sklearn")

    def unfair(self, trained: Mapping[str, str], parameters: Mapping[str, Any]) -> str:
        """Return whether the champion knows the flights that both are compared on."""
        month, known = parameters["evaluation_month"], trained.get("train_months", "")
        try:
            if month not in months.parse(known).train:
                return ""
        except months.MonthsError:
            return ""
        return (
            f"month {month} evaluates, and the champion was trained on months {known}: it knows "
            "these flights, and is hard to beat on them"
        )

    def headings(self) -> Sequence[str]:
        """Return the headings of a flight's columns."""
        return ("flight", "departs")

    def cells(self, _number: int, row: Mapping[str, Any]) -> Sequence[str]:
        """Return a flight's cells."""
        minutes = int(row["scheduled_departure_minute"])
        return (
            f"{row['carrier']} {row['origin']}-{row['dest']}",
            f"{minutes // 60:02}:{minutes % 60:02}",
        )

    def outcome(self, *, label: bool) -> str:
        """Return whether a flight was late."""
        return "late" if label else "on time"
