"""The champion on every serving engine, as a resource."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, UpdateResult

from mlops_infra.discreet_provider import DiscreetProvider
from mlops_rollout import promotion, rollout
from mlops_rollout.engine import ModelServer
from mlops_rollout.kubectl import Access
from mlops_rollout.registry import Registry
from mlops_rollout.sample import Sample
from mlops_toolchain import layout

# What a rollout was of; another of these is rolled out again.
_ROLLED_OUT = ("servers", "model", "after")
_MOVED = ("kubeconfig", "tracking_uri")


def access(kubeconfig: str) -> Access:
    """Return how this machine reaches a cluster."""
    return Access(program=str(layout.bin_dir() / "kubectl"), kubeconfig=kubeconfig)


class RolloutProvider(DiscreetProvider):
    """Lets serve what MLflow's registry says."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Roll out, unless a Deploy step has done it; then every version is only tested.

        Raises:
            RegistryError: MLflow does not answer.
            ServingError: a version does not serve; what served before serves on.
        """
        return CreateResult(str(props["model"]), self._rolled_out(props))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Roll out again for other servers or after another run."""
        keys = (*_ROLLED_OUT, *_MOVED)
        return DiffResult(changes=any(olds.get(key) != news.get(key) for key in keys))

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Roll out again, unless only addresses or the cluster's credentials are others."""
        if all(olds.get(key) == news.get(key) for key in _ROLLED_OUT):
            return UpdateResult({**news, "version": olds["version"]})
        return UpdateResult(self._rolled_out(news, before=olds["servers"]))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Remove every version, and the model's routes."""
        rollout.forget(_servers(props["servers"]), access=access(props["kubeconfig"]))

    @staticmethod
    def _rolled_out(props: dict[str, Any], before: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        registry = Registry(props["tracking_uri"], props["model"])
        cluster, servers = access(props["kubeconfig"]), _servers(props["servers"])
        served = promotion.serve(
            lambda _completed: promotion.registered(registry, _say),
            registry=registry,
            servers=servers,
            access=cluster,
            sample=_function(props["sample"]),
            say=_say,
        )
        places = {(server.engine, server.namespace) for server in servers}
        left = [s for s in _servers(before) if (s.engine, s.namespace) not in places]
        rollout.remove(left, access=cluster)
        return {**props, "version": max(served, key=lambda each: each.percent).version}


def _function(named: str) -> Callable[[], Sample]:
    """Return the function that `module:name` names."""
    module, _, name = named.partition(":")
    found: Callable[[], Sample] = getattr(importlib.import_module(module), name)
    return found


def _say(line: str) -> None:
    print(line, flush=True)


def _servers(settings: Sequence[dict[str, Any]]) -> list[ModelServer]:
    return [ModelServer.read(each) for each in settings]


class Rollout(Resource, module="mlops", name="Rollout"):
    """What serves, as MLflow's registry said when it was rolled out.

    Which version that is, is no part of the program: Deploy steps and the commands for canaries
    change it, and neither shows as a change of the stack.

    Attributes:
        version: number of the version with most of the requests.
    """

    version: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        kubeconfig: pulumi.Input[str],
        tracking_uri: pulumi.Input[str],
        model: str,
        servers: pulumi.Input[list[dict[str, Any]]],
        after: pulumi.Input[str],
        sample: Callable[[], Sample],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            RolloutProvider(),
            name,
            {
                "kubeconfig": kubeconfig,
                "tracking_uri": tracking_uri,
                "model": model,
                "servers": servers,
                "after": after,
                # By name: a workload that is removed takes its modules along, before what it has
                # rolled out is deleted.
                "sample": f"{sample.__module__}:{sample.__qualname__}",
                "version": None,
            },
            opts,
        )
