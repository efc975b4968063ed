"""Whether the engines predict, and whether what serves is what MLflow's registry says."""

from collections.abc import Callable
from functools import partial

from flight_delay.dataset import DatasetError
from flight_rollout import promotion
from flight_rollout.engine import ModelServer
from flight_rollout.engines import ENGINES
from flight_rollout.errors import ServingError
from flight_rollout.kubectl import Access
from flight_rollout.registry import CHAMPION, Registry, RegistryError
from mlops_stack import report
from mlops_stack.outputs import StackOutputs
from mlops_stack.predict import PredictError, ask
from mlops_stack.pulumi_cli import PulumiError
from mlops_stack.serving import TITLES
from mlops_workloads import rollout

_PROBLEMS = (DatasetError, PredictError, RegistryError, ServingError)


class RepairError(PulumiError):
    """What serves is not what the registry says, and could not be mended; the message says why."""


def probes(outputs: StackOutputs) -> dict[str, Callable[[], str | None]]:
    """Return what asks a stack's engines for a prediction, and compares what serves.

    Args:
        outputs: the stack's outputs, secrets included.
    """
    found: dict[str, Callable[[], str | None]] = {
        TITLES[name]: partial(_predicts, outputs, name)
        for name in ENGINES
        if outputs.model_url(name)
    }
    if found:
        found["Serving"] = partial(_agrees, outputs)
    return found


def repair(outputs: StackOutputs) -> None:
    """Let serve what the registry says, if that is not so: a rollout was cut off, a server deleted.

    Args:
        outputs: the outputs of a stack that serves.

    Raises:
        RepairError: it does not serve.
    """
    try:
        registry, servers, access = _of(outputs)
        # A stack whose first run is yet to come serves nothing.
        if registry.by_alias(CHAMPION) is None:
            return
        found = promotion.differences(registry, servers, access=access, say=_say)
        if not found:
            return
        for line in found:
            _say(line)
        with report.phase("what serves, as MLflow's registry says"):
            promotion.serve(
                lambda _completed: promotion.registered(registry, _say),
                registry=registry,
                servers=servers,
                access=access,
                sample=rollout.sample,
                say=_say,
            )
    except _PROBLEMS as error:
        raise RepairError(f"{error}\n  `make up` tries it again") from error


def _predicts(outputs: StackOutputs, engine: str) -> str | None:
    try:
        ask(outputs, 1, engines=(engine,))
    except _PROBLEMS as error:
        return str(error).removeprefix(f"{TITLES[engine]} ")
    return None


def _agrees(outputs: StackOutputs) -> str | None:
    try:
        registry, servers, access = _of(outputs)
        found = promotion.differences(registry, servers, access=access, say=_say)
    except _PROBLEMS as error:
        return f"cannot be compared with the registry: {error}"
    return f"{'; '.join(found)}; `make up` mends it" if found else None


def _of(outputs: StackOutputs) -> tuple[Registry, list[ModelServer], Access]:
    return (
        Registry(outputs.mlflow_url, outputs.model_name),
        [ModelServer(**each) for each in outputs.model_servers],
        rollout.access(outputs.kubeconfig),
    )


def _say(line: str) -> None:
    report.plain(f"  {line}")
