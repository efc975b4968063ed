"""The contract of a component: what runs for every team, one class in one file."""

from dataclasses import asdict
from typing import ClassVar, Literal

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra.cluster import Cluster
from mlops_infra.endpoint import Endpoint
from mlops_infra.identity import Identity
from mlops_infra.image import Image


class Component(pulumi.ComponentResource):
    """A part of the platform; its objects live in the stack's cluster.

    Attributes:
        TOKEN: type of the resource, which Pulumi's state holds.
        NAME: the setting `components`' word for it; empty for what every stack has.
        IMAGES: the toolchain's images that its Pods run.
        IDENTITIES: who of it reaches the buckets where there are no keys.
        child: options of its own resources.
    """

    TOKEN: ClassVar[str]
    NAME: ClassVar[str] = ""
    IMAGES: ClassVar[tuple[Image, ...]] = ()
    IDENTITIES: ClassVar[tuple[Identity, ...]] = ()

    child: pulumi.ResourceOptions

    def __init__(
        self, name: str, cluster: Cluster, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        options = pulumi.ResourceOptions.merge(cluster.child_options(), opts)
        super().__init__(self.TOKEN, name, None, options)
        self.child = pulumi.ResourceOptions(parent=self)
        self._cluster = cluster

    def add_namespace(
        self, resource: str, name: str, *, level: Literal["restricted", "baseline"] = "restricted"
    ) -> kubernetes.core.v1.Namespace:
        """Register a namespace of it.

        Args:
            resource: name of the resource.
            name: name of the namespace.
            level: which of Kubernetes' Pod Security Standards it enforces.
        """
        metadata: kubernetes.meta.v1.ObjectMetaArgsDict = {
            "name": name,
            "labels": {"pod-security.kubernetes.io/enforce": level},
        }
        return kubernetes.core.v1.Namespace(resource, metadata=metadata, opts=self.child)

    def offer(self, name: str, url: pulumi.Output[str], *, health: str = "") -> None:
        """Tell users of a service: summaries print its address, and the status asks it.

        Args:
            name: what it is called.
            url: its address on this machine.
            health: what to ask it for, below its address, to see that it does real work.
        """
        self._cluster.services.append(
            url.apply(lambda known: asdict(Endpoint(name=name, url=known, health=health)))
        )
