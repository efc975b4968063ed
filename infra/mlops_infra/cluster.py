"""The cluster that the other layers see, whoever runs it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra.cluster_claim import Claim, ClusterClaim
from mlops_toolchain import images

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Images = TypeVar("_Images", bound="DataclassInstance")


@dataclass(frozen=True, kw_only=True)
class VolumeClass:
    """A class of volumes that a cluster does not bring along.

    Attributes:
        name: its name.
        provisioner: driver that makes the volumes.
        parameters: what the driver is told; nothing that changes, for Kubernetes takes no change.
        keep: whether a volume stays when its claim is deleted.
    """

    name: str
    provisioner: str
    parameters: Mapping[str, str]
    keep: bool


@dataclass(frozen=True, kw_only=True)
class ClusterAccess:
    """How a cluster is reached; what each kind of cluster gives to `Cluster`.

    Attributes:
        kubeconfig: text of an administrator's kubeconfig, secret.
        node_address: address at which this machine reaches NodePorts.
        context: context in the kubeconfig, or None for its current one.
        owned: the resource that takes every Kubernetes object with it when it is deleted, or None
            when the cluster outlives the stack and its objects must be deleted one by one.
        ready: what comes before every object in the cluster, and goes after it.
        volumes: class of volumes to make in it, or None if it has one.
        identifier: what tells the cluster from others, whatever its address and authority; None
            for one that is known by these.
    """

    kubeconfig: pulumi.Output[str]
    node_address: pulumi.Output[str]
    context: str | None
    owned: pulumi.Resource | None
    ready: tuple[pulumi.Resource, ...] = ()
    volumes: VolumeClass | None = None
    identifier: str | None = None


def _signed(claim: Claim) -> pulumi.ResourceTransformation:
    """Tell the plugin the stack's id, for the field managers; the SDK has no word for it."""
    signature = {"stackId": claim.stack_id}
    if claim.former_id:
        signature["formerStackId"] = claim.former_id

    def transform(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult:
        return pulumi.ResourceTransformationResult({**args.props, **signature}, args.opts)

    return transform


class Cluster(pulumi.ComponentResource):
    """A Kubernetes cluster and the provider that every other layer uses.

    Attributes:
        kubeconfig: text of an administrator's kubeconfig, secret.
        node_address: address at which this machine reaches NodePorts.
        kubernetes: provider for this cluster's objects.
        storage_class: class of persistent volumes, or None for the cluster's default. It is plain
            text: as an output of the class, a replaced class would replace each claim, and with
            it the data.
        image_registry: prefix of the project's images.
        services: what the components on it offer to users, each as the fields of an `Endpoint`.
    """

    kubeconfig: pulumi.Output[str]
    node_address: pulumi.Output[str]
    kubernetes: kubernetes.Provider
    storage_class: str | None
    image_registry: str
    services: list[pulumi.Output[dict[str, Any]]]

    def __init__(
        self,
        name: str,
        *,
        access: ClusterAccess,
        claim: Claim,
        storage_class: str | None,
        image_registry: str,
        pulls_published: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("mlops:infra:Cluster", name, None, opts)
        self.kubeconfig = pulumi.Output.secret(access.kubeconfig)
        self.node_address = access.node_address
        self.image_registry = image_registry
        self._pulls_published = pulls_published
        self._owned = access.owned
        claimed = ClusterClaim(
            f"{name}-claim",
            claim,
            kubeconfig=self.kubeconfig,
            context=access.context or "",
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=list(access.ready), deleted_with=access.owned
            ),
        )
        self.kubernetes = kubernetes.Provider(
            f"{name}-kubernetes",
            kubeconfig=self.kubeconfig,
            context=access.context,
            cluster_identifier=access.identifier,
            enable_server_side_apply=True,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*access.ready, claimed],
                transformations=[_signed(claim)],
            ),
        )
        self.services = []
        self.storage_class = storage_class
        self._classes: list[pulumi.Resource] = []
        if storage_class is None and access.volumes is not None:
            self.storage_class = access.volumes.name
            self._classes = [self._volumes(name, access.volumes)]
        self.register_outputs({"kubeconfig": self.kubeconfig, "node_address": self.node_address})

    def _volumes(self, name: str, wanted: VolumeClass) -> pulumi.Resource:
        """Make a class of volumes."""
        return kubernetes.storage.v1.StorageClass(
            f"{name}-volumes",
            metadata={"name": wanted.name},
            provisioner=wanted.provisioner,
            parameters=dict(wanted.parameters),
            reclaim_policy="Retain" if wanted.keep else "Delete",
            # A volume is made in the zone of the node that its Pod runs on.
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            opts=pulumi.ResourceOptions(
                parent=self,
                provider=self.kubernetes,
                # Another value would replace the class. Volumes that are there keep their own.
                ignore_changes=["parameters", "reclaimPolicy"],
            ),
        )

    def claim_options(self) -> pulumi.ResourceOptions:
        """Return the options of a volume claim: it comes after its class and goes before it."""
        return pulumi.ResourceOptions(depends_on=self._classes)

    def child_options(self) -> pulumi.ResourceOptions:
        """Return the options of a component whose children live in this cluster.

        They name the provider, and let a cluster that the stack owns take its objects with it:
        that is what makes teardown quick, and possible when the cluster is already dead.
        """
        return pulumi.ResourceOptions(
            providers={"kubernetes": self.kubernetes}, deleted_with=self._owned
        )

    def node_url(
        self, node_port: pulumi.Output[int], *, after: pulumi.Input[str] = ""
    ) -> pulumi.Output[str]:
        """Return the URL of a NodePort on this machine, once `after` is known.

        Empty where a preview cannot know the port: the API server chooses it when the Service is
        made, and a trial run of that names none.
        """
        return pulumi.Output.all(self.node_address, node_port, after).apply(
            lambda values: f"http://{values[0]}:{int(values[1])}" if values[1] else ""
        )

    def image(self, name: str) -> str:
        """Return the reference by which this cluster's Pods name an image of the toolchain.

        Args:
            name: the toolchain's name of it.

        Raises:
            KeyError: the toolchain has no such image.
        """
        reference = images.reference(name)
        tagged = reference.rpartition("/")[2]
        return f"{self.image_registry}/{tagged}" if self.image_registry else reference

    def own_images(self, names: _Images) -> _Images | None:
        """Return the references of images that upstream publishes too, None where those run.

        Args:
            names: a dataclass of the toolchain's names.
        """
        if self._pulls_published:
            return None
        return replace(names, **{key: self.image(name) for key, name in asdict(names).items()})

    def own_image(self, name: str) -> str | None:
        """Return the reference of an image that upstream publishes too, None where that runs."""
        return None if self._pulls_published else self.image(name)
