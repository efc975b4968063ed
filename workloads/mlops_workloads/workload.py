"""The contract of a workload: what a team ships, one folder with an object."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from mlops_infra.image import Part
from mlops_platform.platform import Platform


class Workload(ABC):
    """A team's model: its data, its pipeline, and what serves it.

    Attributes:
        NAME: that of its `WorkloadCommands`.
    """

    NAME: ClassVar[str]

    @staticmethod
    @abstractmethod
    def parts(components: Collection[type[Part]]) -> tuple[type[Part], ...]:
        """Return what it runs on a stack of these components, for the images and identities."""

    @abstractmethod
    def deploy(self, platform: Platform) -> Mapping[str, Any]:
        """Register everything; return what the stack tells of it.

        Returns:
            Values by the names of the fields of `mlops_stack.outputs.WorkloadOutputs`.
        """
