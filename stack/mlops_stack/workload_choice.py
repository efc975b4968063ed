"""Which workload a command is about."""

from mlops_stack.outputs import StackOutputs, WorkloadOutputs
from mlops_stack.pulumi_cli import PulumiError
from mlops_workloads.all_commands import ALL_COMMANDS
from mlops_workloads.commands import WorkloadCommands


class WorkloadError(PulumiError):
    """There is no such workload; the message says which there are."""


def choose(name: str) -> WorkloadCommands:
    """Return the workload of that name; without a name, the only one.

    Raises:
        WorkloadError: there is none of that name, or more than one and no name.
    """
    names = [each.NAME for each in ALL_COMMANDS]
    if not name and len(names) > 1:
        raise WorkloadError(f"WORKLOAD is not given; there are {', '.join(names)}")
    found = [each for each in ALL_COMMANDS if name in ("", each.NAME)]
    if not found:
        raise WorkloadError(f"WORKLOAD={name} is none; write one of {', '.join(names)}")
    return found[0]


def all_of(outputs: StackOutputs) -> list[tuple[WorkloadCommands, WorkloadOutputs]]:
    """Return the workloads that a stack has, and what each has."""
    found = [(each, outputs.workload(each.NAME)) for each in ALL_COMMANDS]
    return [(each, has) for each, has in found if has.model_name]


def titles_of(workloads: list[tuple[WorkloadCommands, WorkloadOutputs]]) -> dict[str, str]:
    """Return what tells a workload's titles from those of others, by its name."""
    several = len(workloads) > 1
    return {each.NAME: f" of {each.NAME}" if several else "" for each, _ in workloads}


def make_argument(commands: WorkloadCommands) -> str:
    """Return what a next `make` command must be given, with a space before it."""
    return f" WORKLOAD={commands.NAME}" if len(ALL_COMMANDS) > 1 else ""
