"""`make canary`, `make promote`, `make rollback`: which version of the model serves."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mlops_platform.serving import rollout
from mlops_rollout import promotion
from mlops_rollout.engine import ModelServer
from mlops_rollout.errors import ServingError
from mlops_rollout.promotion import Decide, Decision
from mlops_rollout.registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    RegisteredVersion,
    Registry,
    RegistryError,
)
from mlops_rollout.rollout import RolloutResult
from mlops_rollout.sample import SampleError
from mlops_stack import report, workload_choice
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.serving import TITLES
from mlops_stack.serving import outputs as serving_outputs
from mlops_workloads.commands import WorkloadCommands


class CanaryError(PulumiError):
    """What serves stays as it is; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A workload of a stack that serves.

    Attributes:
        workload: the workload.
        registry: what MLflow says of its model.
        servers: what serves it.
        kubeconfig: of its cluster.
    """

    workload: WorkloadCommands
    registry: Registry
    servers: list[ModelServer]
    kubeconfig: str


def canary(stack: Stack, *, workload: str, version: str, weight: str) -> None:
    """Let a version have a share of the requests, beside the champion.

    Args:
        stack: the stack, which is up and serves.
        workload: its workload, as the user wrote it; empty for the only one.
        version: a registered version; empty for the one that is tried already.
        weight: its share in percent, as the user wrote it.

    Raises:
        CanaryError: version or weight is none, or the version does not serve.
        PulumiError: the stack is not up, or serves nothing.
    """
    if not re.fullmatch(r"[1-9][0-9]?", weight):
        raise CanaryError(
            f"WEIGHT={weight} is no share of the requests; write a number from 1 to 99"
        )
    share = int(weight)
    decided: list[Decision] = []

    def decide(_completed: bool) -> Decision:
        tried = _chosen(serving, version)
        decided.append(Decision(champion=_champion(serving), challenger=tried, percent=share))
        return decided[0]

    with _explained():
        serving = _serving(stack, workload)
        # Refused before anything waits for another rollout.
        number = _chosen(serving, version).version.number
        with report.phase(f"version {number} with {share} % of the requests"):
            served = _served(serving, decide)
    tried, champion = decided[0].challenger, decided[0].champion.version.number
    _show(served)
    report.plain("Next:")
    words = f"{stack.make_argument}{workload_choice.make_argument(serving.workload)}"
    report.table(
        [
            (
                f"make promote{words}",
                f"version {tried.version.number if tried else number} becomes the champion",
            ),
            (
                f"make rollback{words}",
                f"version {champion} serves alone",
            ),
        ]
    )


def promote(stack: Stack, *, workload: str) -> None:
    """Let the version that is tried become the champion, with all requests.

    Args:
        stack: the stack, which is up and serves.
        workload: its workload, as the user wrote it; empty for the only one.

    Raises:
        CanaryError: none is tried, or it does not serve any more.
        PulumiError: the stack is not up, or serves nothing.
    """

    def decide(completed: bool) -> Decision:
        tried = _challenger(serving)
        if tried:
            return Decision(champion=tried)
        if completed:
            # It may have been this one, which was interrupted and is run again.
            return promotion.registered(serving.registry, _say)
        raise CanaryError("no version is tried; `make canary VERSION=… WEIGHT=10` begins it")

    with _explained():
        serving = _serving(stack, workload)
        with report.phase("the version that is tried, with all requests"):
            served = _served(serving, decide)
    _show(served)


def rollback(stack: Stack, *, workload: str) -> None:
    """End a trial; without one, let the champion of before serve again.

    Args:
        stack: the stack, which is up and serves.
        workload: its workload, as the user wrote it; empty for the only one.

    Raises:
        CanaryError: nothing is tried and there was no champion before, or it does not serve.
        PulumiError: the stack is not up, or serves nothing.
    """

    def decide(completed: bool) -> Decision:
        champion = _champion(serving)
        if completed:
            return promotion.registered(serving.registry, _say)
        if _challenger(serving):
            return Decision(champion=champion)
        back = serving.registry.by_alias(PREVIOUS)
        if back is None:
            raise CanaryError(
                f"no version is tried, and none served before version {champion.version.number}"
            )
        return Decision(champion=back)

    with _explained():
        serving = _serving(stack, workload)
        with report.phase("the version of before, with all requests"):
            served = _served(serving, decide)
    _show(served)


@contextmanager
def _explained() -> Iterator[None]:
    """Tell what a rollout says in the words of the commands."""
    try:
        yield
    except (ServingError, RegistryError, SampleError) as error:
        raise CanaryError(f"{error}\n  what served before serves on") from error


def _serving(stack: Stack, workload: str) -> Serving:
    chosen = workload_choice.choose(workload)
    outputs = serving_outputs(stack)
    has = outputs.workload(chosen.NAME)
    if not has.model_servers:
        raise CanaryError(
            f"stack {stack.name} does not serve {chosen.NAME}; `make up` brings it up"
        )
    return Serving(
        workload=chosen,
        registry=Registry(outputs.mlflow_url, has.model_name),
        servers=has.servers,
        kubeconfig=outputs.kubeconfig,
    )


def _champion(serving: Serving) -> RegisteredVersion:
    found = serving.registry.by_alias(CHAMPION)
    if found is None:
        raise CanaryError("MLflow holds no champion; `make run` trains one")
    return found


def _challenger(serving: Serving) -> RegisteredVersion | None:
    """Return the version that is tried; the champion is not."""
    found = serving.registry.by_alias(CHALLENGER)
    number = _champion(serving).version.number
    return found if found and found.version.number != number else None


def _chosen(serving: Serving, version: str) -> RegisteredVersion:
    tried = _challenger(serving)
    if not version and tried:
        return tried
    champion = _champion(serving).version.number
    others = [each for each in serving.registry.numbers() if each != champion]
    there = f"beside the champion, version {champion}, there is {', '.join(others) or 'none'}"
    if not version:
        raise CanaryError(f"VERSION is not given; {there}")
    found = serving.registry.by_number(version) if version in others else None
    if found is None:
        problem = "is the champion" if version == champion else "is not registered"
        raise CanaryError(f"VERSION={version} {problem}; {there}")
    return found


def _served(serving: Serving, decide: Decide) -> list[RolloutResult]:
    return promotion.serve(
        decide,
        registry=serving.registry,
        servers=serving.servers,
        access=rollout.access(serving.kubeconfig),
        sample=serving.workload.sample,
        say=_say,
    )


def _say(line: str) -> None:
    report.plain(f"  {line}")


def _show(served: Sequence[RolloutResult]) -> None:
    report.plain("")
    rows = [
        (
            TITLES[each.engine],
            f"version {each.version} with {each.percent} % of the requests, "
            f"ROC AUC {each.roc_auc:.3f} on {each.rows} labelled rows",
        )
        for each in served
    ]
    report.table(rows)
