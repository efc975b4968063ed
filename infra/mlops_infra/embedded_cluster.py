"""The embedded cluster as a Pulumi resource; `mlops_infra.node` does the work."""

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from mlops_infra.cluster import ClusterAccess

_OUTPUTS = ("kubeconfig", "node_address", "resolved_network")


class EmbeddedClusterProvider(ResourceProvider):
    """Creates, restarts, changes, reads and deletes one embedded cluster.

    `diff` looks at the running cluster, not only at the inputs: after a reboot or a kill the next
    `pulumi up` finds a change and `update` starts the node again with its data.
    """

    serialize_as_secret_always = False

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse a specification that cannot be built."""
        from mlops_infra.node.spec import SpecError  # noqa: PLC0415 - see create

        try:
            _spec(news)
        except SpecError as error:
            return CheckResult(news, [CheckFailure("name", str(error))])
        return CheckResult(news, [])

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Boot the cluster, or go on with what an interrupted run left of it."""
        # The node's modules load where the work is done, not in the program that describes it.
        from mlops_infra.node import cluster  # noqa: PLC0415

        return CreateResult(props["name"], {**props, **_outputs(cluster.create(_spec(props)))})

    def diff(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare inputs, and ask whether the node still runs."""
        from mlops_infra.node import cluster  # noqa: PLC0415

        replaces = cluster.immutable_changes(_spec(olds), _spec(news))
        changed = _spec(olds) != _spec(news) or not cluster.read(id_).healthy
        return DiffResult(
            changes=changed or bool(replaces),
            replaces=replaces,
            # Two clusters of one name cannot share a state folder.
            delete_before_replace=True,
        )

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Change what can change in place, and start a node that has stopped."""
        from mlops_infra.node import cluster  # noqa: PLC0415

        return UpdateResult({**news, **_outputs(cluster.update(_spec(news)))})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the cluster's state; an absent one gives an empty id, which drops it."""
        from mlops_infra.node import cluster  # noqa: PLC0415

        status = cluster.read(id_)
        return ReadResult("", {}) if status.absent else ReadResult(id_, props)

    def delete(self, id_: str, _props: dict[str, Any]) -> None:
        """Remove the cluster, whatever state it is in."""
        from mlops_infra.node import cluster  # noqa: PLC0415

        cluster.delete(id_)


def _spec(props: dict[str, Any]) -> Any:
    from mlops_infra.node.spec import NodeSpec  # noqa: PLC0415 - see create

    return NodeSpec(
        name=props["name"],
        kubernetes_version=props["kubernetes_version"],
        network=props["network"],
        reserved_memory=props["reserved_memory"],
        reserved_cpu=props["reserved_cpu"],
        images=tuple(props["images"]),
    )


def _outputs(info: Any) -> dict[str, str]:
    return {
        "kubeconfig": info.kubeconfig,
        "node_address": info.node_address,
        "resolved_network": info.network,
    }


@dataclass(frozen=True, kw_only=True)
class EmbeddedClusterArgs:
    """What an embedded cluster needs.

    Attributes:
        name: names the node and its state folder.
        kubernetes_version: version that the toolchain has built.
        network: CIDR of /16 to /20, or "auto".
        reserved_memory: memory that pods leave free, as a Kubernetes quantity.
        reserved_cpu: CPU that pods leave free, as a Kubernetes quantity.
        images: references of the images to have in the node beside Kubernetes' own.
    """

    name: str
    kubernetes_version: str
    network: str
    reserved_memory: str
    reserved_cpu: str
    images: tuple[str, ...]


class EmbeddedCluster(Resource, module="mlops", name="EmbeddedCluster"):
    """A kubeadm cluster in namespaces of this machine.

    Attributes:
        kubeconfig: text of an administrator's kubeconfig, secret.
        node_address: the node's address on this machine.
        resolved_network: the network in use, also when "auto" was asked for.
    """

    kubeconfig: pulumi.Output[str]
    node_address: pulumi.Output[str]
    resolved_network: pulumi.Output[str]

    def __init__(
        self, name: str, args: EmbeddedClusterArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        outputs: dict[str, None] = dict.fromkeys(_OUTPUTS)
        super().__init__(
            EmbeddedClusterProvider(),
            name,
            {**vars(args), "images": list(args.images), **outputs},
            pulumi.ResourceOptions.merge(
                opts,
                pulumi.ResourceOptions(
                    additional_secret_outputs=["kubeconfig"],
                    custom_timeouts=pulumi.CustomTimeouts(create="10m", update="10m", delete="5m"),
                ),
            ),
        )

    def access(self) -> ClusterAccess:
        """Return how the other layers reach this cluster."""
        return ClusterAccess(
            kubeconfig=self.kubeconfig,
            node_address=self.node_address,
            context=None,
            owned=self,
        )
