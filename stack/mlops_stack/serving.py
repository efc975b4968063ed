"""What the commands that use a stack's model servers share."""

from typing import Final

from mlops_stack.outputs import StackOutputs
from mlops_stack.pulumi_cli import PulumiError, Stack

TITLES: Final = {"kserve": "KServe", "seldon": "Seldon"}


class NotServingError(PulumiError):
    """A stack serves no model; the message says what to set."""


def outputs(stack: Stack) -> StackOutputs:
    """Return the outputs of a stack that serves, secrets included.

    Raises:
        NotServingError: it serves nothing.
        PulumiError: it is not up.
    """
    found = StackOutputs.read(stack.outputs_when_up())
    if not found.gateway_url:
        raise NotServingError(
            f"stack {stack.name} serves no model; add kserve or seldon to "
            f"`mlops-platform:components` in {stack.file().name} and run "
            f"`make up STACK={stack.name}`"
        )
    return found
