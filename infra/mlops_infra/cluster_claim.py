"""Whose a cluster is: a ConfigMap in it that names the stack.

It is written before every other object and removed after them. A stack that meets another one's
changes nothing.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import pulumi
from pulumi.dynamic import (
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from mlops_infra.cluster_client import ask
from mlops_infra.discreet_provider import DiscreetProvider

if TYPE_CHECKING:
    from mlops_kubernetes.client import Client

_COLLECTION: Final = "/api/v1/namespaces/kube-system/configmaps"
_NAME: Final = "mlops-stack"
_PATH: Final = f"{_COLLECTION}/{_NAME}"
_IDENTITY_PATH: Final = "/api/v1/namespaces/kube-system"
_MANAGER: Final = "mlops-platform"


class ForeignClusterError(Exception):
    """The cluster belongs to another stack; nothing was changed in it."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Which stack a cluster belongs to.

    Attributes:
        stack_id: the stack's id; it alone decides.
        stack: the stack's name.
        backend: where its state is.
        checkout: the checkout that made it.
        host: the machine that the checkout is on.
        former_id: id of the stack that the cluster was taken over from; empty for none.
    """

    stack_id: str
    stack: str
    backend: str
    checkout: str
    host: str
    former_id: str = ""

    def __str__(self) -> str:
        return (
            f"stack {self.stack} (id {self.stack_id}) of the checkout {self.checkout} on "
            f"{self.host}, whose state is in {self.backend}"
        )


def read(kubeconfig: str, *, context: str = "") -> Claim | None:
    """Return whose a cluster is; None when nobody has said it.

    Args:
        kubeconfig: text of a kubeconfig.
        context: context in it, or empty for its current one.

    Raises:
        ApiError: the API server refuses to tell.
        KubeconfigError: the kubeconfig cannot be used.
        UnreachableError: there is no API server.
    """
    return ask(kubeconfig, context, _read)


def write(kubeconfig: str, claim: Claim, *, context: str = "", takeover: bool = False) -> None:
    """Claim a cluster for a stack.

    Args:
        kubeconfig: text of a kubeconfig.
        claim: the stack.
        context: context in the kubeconfig, or empty for its current one.
        takeover: whether it may belong to another stack.

    Raises:
        ForeignClusterError: it does; nothing was changed.
        ApiError: the API server refuses.
        KubeconfigError: the kubeconfig cannot be used.
        UnreachableError: there is no API server.
    """

    async def work(client: "Client") -> None:
        from mlops_kubernetes.client import ApiError  # noqa: PLC0415

        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": _NAME,
                "labels": {"app.kubernetes.io/part-of": "mlops-platform"},
            },
            "data": _data(claim),
        }
        found = await _read(client)
        if found is None:
            try:
                await client.create(_COLLECTION, body, manager=_MANAGER)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
                found = await _read(client)  # another stack was quicker
            else:
                return
        if not takeover:
            _refuse_other(found, claim.stack_id)
        await client.apply(_PATH, body, manager=_MANAGER, force=True)

    ask(kubeconfig, context, work)


def identity(kubeconfig: str, *, context: str = "") -> str:
    """Return what tells a cluster from every other: the UID of its namespace `kube-system`.

    Raises:
        ApiError: the API server refuses to tell.
        KubeconfigError: the kubeconfig cannot be used.
        UnreachableError: there is no API server.
    """

    async def work(client: "Client") -> str:
        return str((await client.get(_IDENTITY_PATH))["metadata"]["uid"])

    return ask(kubeconfig, context, work)


async def _read(client: "Client") -> Claim | None:
    found = await client.get_or_none(_PATH)
    if found is None:
        return None
    data = found.get("data") or {}
    return Claim(**{field: str(data.get(_key(field), "")) for field in Claim.__dataclass_fields__})


def _data(claim: Claim) -> dict[str, str]:
    return {_key(field): value for field, value in asdict(claim).items()}


def _key(field: str) -> str:
    return field.replace("_", "-")


def _refuse_other(found: Claim | None, stack_id: str) -> None:
    if found is not None and found.stack_id != stack_id:
        raise ForeignClusterError(
            f"the cluster belongs to {found}; nothing was changed in it. `make takeover STACK="
            f"{found.stack}` gives it to this checkout's stack of that name"
        )


class ClusterClaimProvider(DiscreetProvider):
    """Writes, compares and removes the ConfigMap."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Claim the cluster.

        Raises:
            ForeignClusterError: it belongs to another stack.
        """
        _write(props)
        return CreateResult(_NAME, props)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Look into the cluster that the stack has; one that does not answer is left alone.

        Raises:
            ForeignClusterError: it belongs to another stack by now.
        """
        from mlops_kubernetes.client import UnreachableError  # noqa: PLC0415
        from mlops_kubernetes.kubeconfig import KubeconfigError  # noqa: PLC0415

        moved = any(olds.get(key) != news[key] for key in ("kubeconfig", "context", "stack_id"))
        missing = False
        if not moved:
            try:
                found = read(news["kubeconfig"], context=news["context"])
            except (UnreachableError, KubeconfigError):
                return DiffResult(changes=False)
            _refuse_other(found, news["stack_id"])
            missing = found is None
        return DiffResult(changes=moved or missing, replaces=[])

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Claim the cluster as it is reached now.

        Raises:
            ForeignClusterError: it belongs to another stack.
        """
        _write(news)
        return UpdateResult(news)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return what is known: the next update looks into the cluster."""
        return ReadResult(id_, props)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Give the cluster up, unless it is another stack's by now."""
        from mlops_kubernetes.client import UnreachableError  # noqa: PLC0415

        async def work(client: "Client") -> None:
            found = await _read(client)
            if found is not None and found.stack_id == props["stack_id"]:
                await client.delete(_PATH, propagation="Background")

        try:
            ask(props["kubeconfig"], props["context"], work)
        except UnreachableError as error:
            # Every object before it has been deleted, or was dropped with the cluster.
            print(f"the cluster's claim stays: {error}", flush=True)


def _write(props: dict[str, Any]) -> None:
    claim = Claim(**{field: props[field] for field in Claim.__dataclass_fields__})
    write(props["kubeconfig"], claim, context=props["context"])


class ClusterClaim(Resource, module="mlops", name="ClusterClaim"):
    """The word of a cluster that it belongs to this stack."""

    def __init__(
        self,
        name: str,
        claim: Claim,
        *,
        kubeconfig: pulumi.Output[str],
        context: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            ClusterClaimProvider(),
            name,
            {**asdict(claim), "kubeconfig": kubeconfig, "context": context},
            pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(additional_secret_outputs=["kubeconfig"])
            ),
        )
