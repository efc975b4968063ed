"""What commands ask of a workload. Without Pulumi, which takes seconds to import."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mlops_rollout.sample import Sample


class ParametersError(ValueError):
    """A run cannot be started with these parameters; the message names each and the remedy."""


class WorkloadCommands(ABC):
    """A workload's answers to `make run`, `predict`, `canary`, `promote`, `rollback`, `status`.

    Attributes:
        NAME: the word by which commands ask for it (`WORKLOAD=`), and the first part of its
            objects' names: lower-case letters, digits and hyphens.
        TITLE: what its predictions are, above their table.
    """

    NAME: ClassVar[str]
    TITLE: ClassVar[str]

    @abstractmethod
    def sample(self, rows: int = 0) -> Sample:
        """Return real rows with their outcome, the same ones each time.

        Args:
            rows: how many, for a user to look at; 0 for those that a version is tested with.

        Raises:
            SampleError: the data is not on this machine.
        """

    def parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a run, with defaults for what is not given.

        Args:
            given: what the user said.

        Raises:
            ParametersError: one of them is wrong.
        """
        return dict(given)

    def summary(self, parameters: Mapping[str, Any]) -> str:
        """Return what tells a run from others of the pipeline, in a few words, or nothing."""
        del parameters
        return ""

    def wants_training_jobs(self, parameters: Mapping[str, Any]) -> bool:
        """Return whether a run of these parameters needs the stack's training jobs."""
        del parameters
        return False

    def unfair(self, trained: Mapping[str, str], parameters: Mapping[str, Any]) -> str:
        """Return what is wrong with comparing a run's model with the champion, or nothing.

        Args:
            trained: the parameters of the champion's training, as MLflow has them.
            parameters: the run's parameters.
        """
        del trained, parameters
        return ""

    def headings(self) -> Sequence[str]:
        """Return the headings of a row's columns in a table."""
        return ("row",)

    def cells(self, number: int, row: Mapping[str, Any]) -> Sequence[str]:
        """Return a row's cells, one for each heading.

        Args:
            number: which row it is, from 1.
            row: its fields.
        """
        del row
        return (str(number),)

    def outcome(self, *, label: bool) -> str:
        """Return the words for an outcome."""
        return "yes" if label else "no"
