"""Whether the engines predict, and whether what serves is what MLflow's registry says."""

from collections.abc import Callable
from functools import partial

from mlops_platform.serving import rollout
from mlops_rollout import promotion
from mlops_rollout.engine import ModelServer
from mlops_rollout.engines import ENGINES
from mlops_rollout.errors import ServingError
from mlops_rollout.kubectl import Access
from mlops_rollout.registry import CHAMPION, Registry, RegistryError
from mlops_rollout.sample import SampleError
from mlops_stack import report, workload_choice
from mlops_stack.outputs import StackOutputs, WorkloadOutputs
from mlops_stack.predict import PredictError, ask
from mlops_stack.pulumi_cli import PulumiError
from mlops_stack.serving import TITLES
from mlops_workloads.commands import WorkloadCommands

_PROBLEMS = (PredictError, RegistryError, SampleError, ServingError)


class RepairError(PulumiError):
    """What serves is not what the registry says, and could not be mended; the message says why."""


def probes(outputs: StackOutputs) -> dict[str, Callable[[], str | None]]:
    """Return what asks a stack's engines for a prediction, and compares what serves.

    Args:
        outputs: the stack's outputs, secrets included.

    Returns:
        What asks, by engine and, where there are more than one, by workload.
    """
    found: dict[str, Callable[[], str | None]] = {}
    workloads = workload_choice.all_of(outputs)
    titles = workload_choice.titles_of(workloads)
    for commands, has in workloads:
        of = titles[commands.NAME]
        engines = [name for name in ENGINES if has.model_url(name)]
        found |= {
            f"{TITLES[each]}{of}": partial(_predicts, commands, has, each) for each in engines
        }
        if engines:
            found[f"Serving{of}"] = partial(_agrees, outputs, has)
    return found


def repair(outputs: StackOutputs) -> None:
    """Let serve what the registry says, if that is not so: a rollout was cut off, a server deleted.

    Args:
        outputs: the outputs of a stack that serves.

    Raises:
        RepairError: it does not serve.
    """
    for commands, has in workload_choice.all_of(outputs):
        if has.model_servers:
            _repair(outputs, commands, has)


def _repair(outputs: StackOutputs, commands: WorkloadCommands, has: WorkloadOutputs) -> None:
    try:
        registry, servers, access = _of(outputs, has)
        # A stack whose first run is yet to come serves nothing.
        if registry.by_alias(CHAMPION) is None:
            return
        found = promotion.differences(registry, servers, access=access, say=_say)
        if not found:
            return
        for line in found:
            _say(line)
        with report.phase(f"what serves of {has.model_name}, as MLflow's registry says"):
            promotion.serve(
                lambda _completed: promotion.registered(registry, _say),
                registry=registry,
                servers=servers,
                access=access,
                sample=commands.sample,
                say=_say,
            )
    except _PROBLEMS as error:
        raise RepairError(f"{error}\n  `make up` tries it again") from error


def _predicts(commands: WorkloadCommands, has: WorkloadOutputs, engine: str) -> str | None:
    try:
        ask(commands, has, 1, engines=(engine,))
    except _PROBLEMS as error:
        return str(error).removeprefix(f"{TITLES[engine]} ")
    return None


def _agrees(outputs: StackOutputs, has: WorkloadOutputs) -> str | None:
    try:
        registry, servers, access = _of(outputs, has)
        found = promotion.differences(registry, servers, access=access, say=_say)
    except _PROBLEMS as error:
        return f"cannot be compared with the registry: {error}"
    return f"{'; '.join(found)}; `make up` mends it" if found else None


def _of(outputs: StackOutputs, has: WorkloadOutputs) -> tuple[Registry, list[ModelServer], Access]:
    return (
        Registry(outputs.mlflow_url, has.model_name),
        has.servers,
        rollout.access(outputs.kubeconfig),
    )


def _say(line: str) -> None:
    report.plain(f"  {line}")
