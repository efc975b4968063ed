"""What differs between the infrastructures of stacks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from mlops_infra.aws.presets import PresetName
from mlops_infra.cluster_claim import Claim
from mlops_infra.image import Part

Provider = Literal["embedded", "kind", "existing", "eks"]

LOADS_IMAGES: Final = ("embedded", "kind")
"""Whose nodes are given the images that this machine has built; the others pull from a registry."""


@dataclass(frozen=True, kw_only=True)
class AwsChoices:
    """What is chosen for a stack on AWS alone; see the configuration keys of these names.

    Attributes:
        account: number of the only account that it may be in; empty for that of the credentials.
        region: AWS region.
        preset: size.
        owner: e-mail address of who answers for the stack.
        expires: day after which it may be destroyed, or `never`.
        api_cidrs: networks that reach the Kubernetes API from the internet.
        administrators: ARNs of roles that administer the cluster.
        addon_versions: versions of EKS add-ons that are pinned, by name.
        database: whether there is a managed MySQL server.
        s3_endpoint: URL of S3's API, or empty for the region's public one.
    """

    account: str
    region: str
    preset: PresetName
    owner: str
    expires: str
    api_cidrs: tuple[str, ...]
    administrators: tuple[str, ...]
    addon_versions: Mapping[str, str]
    database: bool
    s3_endpoint: str


@dataclass(frozen=True, kw_only=True)
class InfraArgs:
    """What differs between stacks; see the configuration keys of the same names.

    Attributes:
        provider: who runs Kubernetes.
        stack: name of the stack, which names what is made for it.
        claim: the stack that the cluster belongs to.
        parts: what runs on it, whose images its nodes must get.
        with_platform: whether those parts come with this update.
        ephemeral: whether deletion may take data along.
        kubernetes_version: version of a cluster that the stack makes; "auto" for that which it has.
        network: network of a cluster that the stack makes, or "auto".
        reserved_memory: memory that an embedded cluster's pods leave free.
        reserved_cpu: CPU that an embedded cluster's pods leave free.
        kubeconfig: file of an existing cluster.
        kube_context: context in it.
        known_identifier: identifier of the existing cluster as the stack's state has it.
        node_address: address of NodePorts where the cluster does not tell; empty for its own.
        storage_class: class of persistent volumes; empty for the default.
        image_registry: registry of the project's images; empty for those in the cluster.
        object_storage_size: size of the S3 gateway's volume, as a Kubernetes quantity.
        artifact_expiry_days: days after which artifacts expire; 0 keeps them.
        aws: what concerns AWS alone.
    """

    provider: Provider
    stack: str
    claim: Claim
    parts: tuple[type[Part], ...]
    with_platform: bool
    ephemeral: bool
    kubernetes_version: str
    network: str
    reserved_memory: str
    reserved_cpu: str
    kubeconfig: str
    kube_context: str
    known_identifier: str
    node_address: str
    storage_class: str
    image_registry: str
    object_storage_size: str
    artifact_expiry_days: int
    aws: AwsChoices
