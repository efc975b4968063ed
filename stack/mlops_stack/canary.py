"""`make canary`, `make promote`, `make rollback`: which version of the model serves."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from flight_delay.dataset import DatasetError
from flight_rollout import rollout as rolling
from flight_rollout.engine import ModelServer
from flight_rollout.errors import ServingError
from flight_rollout.registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Registered,
    Registry,
    RegistryError,
)
from flight_rollout.rollout import Served, Share
from mlops_stack import report
from mlops_stack.pulumi_cli import PulumiError, Stack
from mlops_stack.serving import TITLES
from mlops_stack.serving import outputs as serving_outputs
from mlops_workloads import rollout


class CanaryError(PulumiError):
    """What serves stays as it is; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A stack that serves.

    Attributes:
        registry: what MLflow says of its model.
        servers: what serves it.
        kubeconfig: of its cluster.
        champion: the version that serves.
        challenger: the version that is tried, or None.
    """

    registry: Registry
    servers: list[ModelServer]
    kubeconfig: str
    champion: Registered
    challenger: Registered | None


def canary(stack: Stack, *, version: str, weight: str) -> None:
    """Let a version have a share of the requests, beside the champion.

    Args:
        stack: the stack, which is up and serves.
        version: a registered version; empty for the one that is tried already.
        weight: its share in percent, as the user wrote it.

    Raises:
        CanaryError: version or weight is none, or the version does not serve.
        PulumiError: the stack is not up, or serves nothing.
    """
    if not weight.isdecimal() or not 1 <= int(weight) <= 99:
        raise CanaryError(
            f"WEIGHT={weight} is no share of the requests; write a number from 1 to 99"
        )
    with _explained():
        serving = _serving(stack)
        tried = _chosen(serving, version)
        share = int(weight)
        with report.phase(f"version {tried.version.number} with {share} % of the requests"):
            served = _rolled_out(
                serving,
                [
                    Share(version=tried.version, percent=share),
                    Share(version=serving.champion.version, percent=100 - share),
                ],
            )
        serving.registry.challenge(tried.version.number, share)
    _show(served)
    report.plain("Next:")
    report.table(
        [
            (
                f"make promote{stack.make_argument}",
                f"version {tried.version.number} becomes the champion",
            ),
            (
                f"make rollback{stack.make_argument}",
                f"version {serving.champion.version.number} serves alone",
            ),
        ]
    )


def promote(stack: Stack) -> None:
    """Let the version that is tried become the champion, with all requests.

    Raises:
        CanaryError: none is tried, or it does not serve any more.
        PulumiError: the stack is not up, or serves nothing.
    """
    with _explained():
        serving = _serving(stack)
        tried = serving.challenger
        if tried is None:
            raise CanaryError("no version is tried; `make canary VERSION=… WEIGHT=10` begins it")
        number = tried.version.number
        with report.phase(f"version {number} with all requests"):
            served = _rolled_out(serving, [Share(version=tried.version, percent=100)])
        serving.registry.promote(number)
        serving.registry.end_challenge()
    _show(served)


def rollback(stack: Stack) -> None:
    """End a trial; without one, let the champion of before serve again.

    Raises:
        CanaryError: nothing is tried and there was no champion before, or it does not serve.
        PulumiError: the stack is not up, or serves nothing.
    """
    with _explained():
        serving = _serving(stack)
        back: Registered | None = serving.champion
        if serving.challenger is None:
            back = serving.registry.by_alias(PREVIOUS)
        if back is None:
            raise CanaryError(
                f"no version is tried, and none served before version "
                f"{serving.champion.version.number}"
            )
        with report.phase(f"version {back.version.number} with all requests"):
            served = _rolled_out(serving, [Share(version=back.version, percent=100)])
        serving.registry.promote(back.version.number)
        serving.registry.end_challenge()
    _show(served)


@contextmanager
def _explained() -> Iterator[None]:
    """Tell what a rollout says in the words of the commands."""
    try:
        yield
    except (ServingError, RegistryError, DatasetError) as error:
        raise CanaryError(f"{error}\n  what served before serves on") from error


def _serving(stack: Stack) -> Serving:
    outputs = serving_outputs(stack)
    registry = Registry(outputs["mlflow_url"], outputs["model_name"])
    champion = registry.by_alias(CHAMPION)
    if champion is None:
        raise CanaryError("MLflow holds no champion; `make run` trains one")
    return Serving(
        registry=registry,
        servers=[ModelServer(**each) for each in outputs["model_servers"]],
        kubeconfig=outputs["kubeconfig"],
        champion=champion,
        challenger=registry.by_alias(CHALLENGER),
    )


def _chosen(serving: Serving, version: str) -> Registered:
    if not version and serving.challenger:
        return serving.challenger
    champion = serving.champion.version.number
    others = [each for each in serving.registry.numbers() if each != champion]
    there = f"beside the champion, version {champion}, there is {', '.join(others) or 'none'}"
    if not version:
        raise CanaryError(f"VERSION is not given; {there}")
    found = serving.registry.by_number(version) if version in others else None
    if found is None:
        problem = "is the champion" if version == champion else "is not registered"
        raise CanaryError(f"VERSION={version} {problem}; {there}")
    return found


def _rolled_out(serving: Serving, shares: Sequence[Share]) -> list[Served]:
    return rolling.roll_out(
        shares,
        serving.servers,
        access=rollout.access(serving.kubeconfig),
        sample=rollout.sample,
        say=lambda line: report.plain(f"  {line}"),
    )


def _show(served: Sequence[Served]) -> None:
    report.plain("")
    rows = [
        (
            TITLES[each.engine],
            f"version {each.version} with {each.percent} % of the requests, "
            f"ROC AUC {each.roc_auc:.3f} on {rolling.FLIGHTS} flights",
        )
        for each in served
    ]
    report.table(rows)
