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
    UpdateResult,
)

from mlops_infra.cluster import ClusterAccess
from mlops_infra.discreet_provider import DiscreetProvider

_INPUTS = (
    "name",
    "stack_id",
    "kubernetes_version",
    "network",
    "reserved_memory",
    "reserved_cpu",
    "images",
)
_OUTPUTS = ("kubeconfig", "node_address", "resolved_network")


class ImageNotBuiltError(pulumi.RunError):
    """The toolchain holds another version of an image than the program asks for."""


class EmbeddedClusterProvider(DiscreetProvider):
    """Creates, restarts, changes, reads and deletes one embedded cluster.

    `diff` looks at the running cluster, not only at the inputs: after a reboot or a kill the next
    `pulumi up` finds a change and `update` starts the node again with its data.
    """

    serialize_as_secret_always = False

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse a specification that cannot be built, or that would cost the cluster's data."""
        # The node's modules load where the work is done, not in the program that describes it;
        # so do they below.
        from mlops_infra.node import cluster  # noqa: PLC0415
        from mlops_infra.node.errors import InvalidSpecError  # noqa: PLC0415

        try:
            spec = _spec(news)
        except InvalidSpecError as error:
            return CheckResult(news, [CheckFailure("name", str(error))])
        if olds and (refusal := cluster.version_refusal(spec)):
            return CheckResult(news, [CheckFailure("kubernetes_version", refusal)])
        return CheckResult(news, [])

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Boot the cluster, or go on with what an interrupted run left of it."""
        return CreateResult(props["name"], _present(props))

    def diff(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare inputs, and ask whether the node still runs."""
        from mlops_infra.node import cluster  # noqa: PLC0415
        from mlops_infra.node.errors import OwnerError  # noqa: PLC0415
        from mlops_infra.node.spec import immutable_changes  # noqa: PLC0415

        status = cluster.read(id_)
        if status.stack_id and status.stack_id != news["stack_id"]:
            raise OwnerError(
                f"cluster {id_} belongs to another stack (id {status.stack_id}) of the checkout "
                f"{status.owner}; nothing was changed"
            )
        health = status.health
        replaces = immutable_changes(_spec(olds), _spec(news), network=olds["resolved_network"])
        if health is cluster.Health.ABSENT:
            # Nothing is left to restart, and what the stack had in it is gone as well.
            replaces = ("name",)
        changed = any(olds.get(key) != news[key] for key in _INPUTS if key != "images")
        # They are in the node or not, in whatever order.
        changed |= sorted(olds.get("images", [])) != sorted(news["images"])
        return DiffResult(
            changes=changed or health is not cluster.Health.HEALTHY or bool(status.outdated),
            replaces=list(replaces),
            # Known in a preview, so that everything in the cluster can be compared.
            stables=["kubeconfig", "node_address", "resolved_network"],
            # Two clusters of one name cannot share a state folder.
            delete_before_replace=True,
        )

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Change what can change in place, and start a node that has stopped."""
        return UpdateResult(_present(news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the cluster; an absent one gives an empty id, which drops it from state."""
        from mlops_infra.node import cluster  # noqa: PLC0415

        if cluster.read(id_).health is cluster.Health.ABSENT:
            return ReadResult("", {})
        return ReadResult(id_, props)

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """Remove the cluster, whatever state it is in, if it is this checkout's."""
        from mlops_infra.node import cluster  # noqa: PLC0415
        from mlops_toolchain import layout  # noqa: PLC0415

        # A state of version 0.1.0 has no id.
        cluster.delete(id_, owner=str(layout.checkout()), stack_id=props.get("stack_id", ""))


def _spec(props: dict[str, Any]) -> Any:
    from mlops_infra.node.spec import NodeSpec  # noqa: PLC0415

    return NodeSpec(
        name=props["name"],
        kubernetes_version=props["kubernetes_version"],
        network=props["network"],
        reserved_memory=props["reserved_memory"],
        reserved_cpu=props["reserved_cpu"],
        # The toolchain's archives are named by image, without repository and tag.
        images=tuple(i.rpartition("/")[2].partition(":")[0] for i in props["images"]),
    )


def _present(props: dict[str, Any]) -> dict[str, Any]:
    """Make the cluster exist and run; return the resource's properties."""
    from mlops_infra.node import cluster  # noqa: PLC0415
    from mlops_toolchain import layout  # noqa: PLC0415

    _check_images(props["images"])

    def progress(phase: str, seconds: float) -> None:
        print(f"cluster {props['name']}: {phase} {seconds:.1f} s", flush=True)

    info = cluster.create(
        _spec(props),
        owner=str(layout.checkout()),
        stack_id=props["stack_id"],
        progress=progress,
    )
    return {
        **props,
        "kubeconfig": info.kubeconfig,
        "node_address": info.node_address,
        "resolved_network": info.network,
    }


def _check_images(references: list[str]) -> None:
    """Refuse images that are not built as the checkout now describes them.

    Without this, a Pod would wait for an image that no registry has.
    """
    from mlops_infra.node.images import read_archive  # noqa: PLC0415
    from mlops_toolchain import images  # noqa: PLC0415

    stale = [r for r in references if read_archive(images.archive(r)).reference != r]
    if stale:
        raise ImageNotBuiltError(
            f"{', '.join(stale)} not built yet: sources or pins have changed since the last "
            "`make toolchain`; run it, then go on"
        )


@dataclass(frozen=True, kw_only=True)
class EmbeddedClusterArgs:
    """What an embedded cluster needs.

    Attributes:
        name: names the node and its state folder.
        stack_id: id of the stack that it belongs to.
        kubernetes_version: one that the toolchain makes; "auto" for that which the cluster has, or
            the toolchain's default for a new one.
        network: CIDR of /16 to /20, or "auto".
        reserved_memory: memory that pods leave free, as a Kubernetes quantity.
        reserved_cpu: CPU that pods leave free, as a Kubernetes quantity.
        images: references of the images to have in the node beside Kubernetes' own.
    """

    name: str
    stack_id: str
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
