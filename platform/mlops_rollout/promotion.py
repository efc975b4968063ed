"""Which versions serve: decided, rolled out, and noted in MLflow's registry, as one piece.

The gateway's routes keep, beside themselves, what the registry is to say once they count. A rollout
that is cut off after they were written is completed by the next one, from there; one that is cut
off before has changed nothing that serves.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mlops_rollout import gateway, gateway_configuration, lease, rollout
from mlops_rollout.engine import ModelServer
from mlops_rollout.engines import ENGINES
from mlops_rollout.errors import ServingError
from mlops_rollout.kubectl import Access, Kubectl
from mlops_rollout.registry import CHALLENGER, CHAMPION, RegisteredVersion, Registry
from mlops_rollout.rollout import RolloutResult, TrafficShare
from mlops_rollout.sample import Sample

_WHOLE: Final = 100


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is to serve.

    Attributes:
        champion: the version that serves.
        challenger: the version that is tried beside it, or None.
        percent: its share of the requests.
    """

    champion: RegisteredVersion
    challenger: RegisteredVersion | None = None
    percent: int = 0

    def shares(self) -> list[TrafficShare]:
        """Return the share of each version."""
        if self.challenger is None:
            return [TrafficShare(version=self.champion.version, percent=_WHOLE)]
        return [
            TrafficShare(version=self.challenger.version, percent=self.percent),
            TrafficShare(version=self.champion.version, percent=_WHOLE - self.percent),
        ]

    def words(self) -> dict[str, Any]:
        """Return what `Registry.record` takes."""
        return {
            "champion": self.champion.version.number,
            "challenger": self.challenger.version.number if self.challenger else "",
            "percent": self.percent if self.challenger else 0,
        }


# What decides: told whether a rollout was completed just now that had been cut off.
Decide = Callable[[bool], Decision]


def registered(registry: Registry, say: Callable[[str], None]) -> Decision:
    """Return what the registry says.

    Args:
        registry: the registry.
        say: told of a trial whose share is none.

    Raises:
        RegistryError: MLflow does not answer.
        ServingError: there is no champion.
    """
    champion, challenger = registry.by_alias(CHAMPION), registry.by_alias(CHALLENGER)
    if champion is None:
        raise ServingError("MLflow holds no champion; look at the pipeline's last run")
    if challenger is not None and challenger.problem:
        say(challenger.problem)
    # One that was promoted by hand is both.
    same = challenger is not None and challenger.version.number == champion.version.number
    if challenger is None or same or not challenger.canary_percent:
        return Decision(champion=champion)
    return Decision(champion=champion, challenger=challenger, percent=challenger.canary_percent)


def serve(
    decide: Decide,
    *,
    registry: Registry,
    servers: Sequence[ModelServer],
    access: Access,
    sample: Callable[[], Sample],
    say: Callable[[str], None] = print,
) -> list[RolloutResult]:
    """Let serve what is decided, and let the registry say so.

    Args:
        decide: decides, once nobody else can change what serves.
        registry: MLflow's registry.
        servers: what serves, all of one model.
        access: how the cluster is reached.
        sample: reads what versions are tested with.
        say: takes a line of progress.

    Returns:
        Each version on each engine.

    Raises:
        RegistryError: MLflow does not answer.
        ServingError: a version does not serve, or another rollout does not end.
    """
    kubectl, model = Kubectl(access, gateway.NAMESPACE), rollout.name_of(servers)
    with lease.held(kubectl, say=say) as held:
        decision = decide(_completed(kubectl, model, registry, say))
        before = registry.by_alias(CHAMPION)
        intent = {
            **decision.words(),
            "before": before.version.number if before else "",
            "noted": False,
        }
        served = rollout.roll_out(
            decision.shares(),
            servers,
            access=access,
            sample=sample,
            say=say,
            record=intent,
            check=held.check,
        )
        registry.record(**decision.words())
        gateway.note(kubectl, model, {**intent, "noted": True})
        held.check()
        rollout.remove_others(served, servers, access=access)
    return served


def _completed(
    kubectl: Kubectl, model: str, registry: Registry, say: Callable[[str], None]
) -> bool:
    """Note what a rollout that was cut off had let serve; return whether there was one."""
    record = gateway.read(kubectl).records.get(model, {})
    if not is_pending(record):
        return False
    number, tried = str(record["champion"]), str(record["challenger"])
    champion = registry.by_alias(CHAMPION)
    known = all(registry.by_number(each) for each in (number, tried) if each)
    if known and (champion.version.number if champion else "") in (number, record["before"]):
        say(f"completes a rollout that was cut off: {_described(record)}")
        registry.record(champion=number, challenger=tried, percent=int(record["percent"]))
    else:
        say(f"a rollout that was cut off is given up, for the registry changed: {number}")
        known = False
    gateway.note(kubectl, model, {**record, "noted": True})
    return known


def is_pending(record: dict[str, Any]) -> bool:
    """Return whether the registry has not yet been told what the routes are of."""
    return bool(record.get("champion")) and not record.get("noted")


def _described(record: dict[str, Any]) -> str:
    if not record["challenger"]:
        return f"version {record['champion']} is the champion"
    return (
        f"version {record['challenger']} is tried with {record['percent']} % of the requests "
        f"beside version {record['champion']}"
    )


def differences(
    registry: Registry,
    servers: Sequence[ModelServer],
    *,
    access: Access,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Return in what the cluster differs from the registry, one line each.

    Raises:
        RegistryError: MLflow does not answer.
        ServingError: there is no champion, or the cluster does not answer.
    """
    kubectl = Kubectl(access, gateway.NAMESPACE)
    routes, model = gateway.read(kubectl), rollout.name_of(servers)
    record = routes.records.get(model, {})
    if is_pending(record):
        return [f"a rollout was cut off before the registry knew: {_described(record)}"]
    shares = registered(registry, say).shares()
    served = [
        RolloutResult(
            engine=server.engine,
            version=share.version.number,
            percent=share.percent,
            deployment=rollout.find(server, share.version, access=access),
            roc_auc=0,
            rows=0,
            seconds=0,
        )
        for server in servers
        for share in shares
    ]
    found = [line for server in servers for line in _of_server(server, served, access)]
    own = gateway_configuration.files_of(routes.files, model)
    if all(each.deployment for each in served) and rollout.rendered(served, servers) != own:
        found.append("the gateway's routes are not what the registry says")
    elif not gateway.is_told(kubectl, routes):
        found.append("the gateway has not read its routes of now")
    return found


def _of_server(
    server: ModelServer, served: Sequence[RolloutResult], access: Access
) -> Iterator[str]:
    wanted = [each for each in served if each.engine == server.engine]
    for each in wanted:
        if not each.deployment:
            yield f"{server.engine}: no server of version {each.version} as the stack describes it"
            continue
        get = Kubectl(access, server.namespace).get
        state = ENGINES[server.engine].state(each.deployment, get)
        if not state.ready:
            reason = state.detail or "it starts"
            yield f"{server.engine}: {each.deployment} does not serve: {reason}"
    names = {each.deployment for each in wanted}
    for name in sorted(set(rollout.versions(server, access=access)) - names):
        yield f"{server.engine}: {name} is there, which the registry does not name"
