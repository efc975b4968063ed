"""KServe: InferenceServices as plain Deployments, without Knative and Istio."""

import base64
from dataclasses import astuple, dataclass
from typing import ClassVar

import pulumi
import pulumi_kubernetes as kubernetes

from mlops_infra import keys_digest
from mlops_infra.cluster import Cluster
from mlops_infra.image import Image, published
from mlops_platform import manifest_objects
from mlops_platform.component import Component
from mlops_platform.serving import kserve_manifests
from mlops_platform.serving.kserve_manifests import (
    NAMESPACE,
    PUBLISHED,
    RUNTIME,
    WEBHOOK_SECRET,
    WEBHOOK_SERVICE,
    KServeImages,
)
from mlops_platform.upstream_manifests import Manifest
from mlops_platform.webhook_certificates import WebhookCertificates
from mlops_toolchain import layout

_MODELS = "serving"
# A Service is waited for until a program answers behind it, so it comes with the programs.
_PROGRAMS = ("Deployment", "Service")
# MLServer with what serves the project's models
_SERVER = "model-server"


@dataclass(frozen=True, kw_only=True)
class KServeArgs:
    """What KServe needs.

    Attributes:
        cluster: where it runs.
    """

    cluster: Cluster


class KServe(Component):
    """The controller of InferenceServices, and MLServer as their runtime.

    Attributes:
        namespace: namespace of models, known once InferenceServices are served.
        runtime: name of the runtime that serves them.
    """

    namespace: pulumi.Output[str]
    runtime: str

    TOKEN: ClassVar = "mlops:platform:KServe"  # noqa: S105 - a resource's type
    NAME: ClassVar = "kserve"
    IMAGES: ClassVar = (*published(*astuple(KServeImages())), Image(_SERVER))

    def __init__(
        self, name: str, args: KServeArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.cluster, opts)
        child = self.child
        own = args.cluster.own_images(KServeImages())
        images = own or PUBLISHED
        manifests = layout.manifests_dir() / "kserve"
        default, resources = manifests / "default.json", manifests / "cluster-resources.json"
        objects = kserve_manifests.objects(default, own)
        system = self.add_namespace(f"{name}-system", NAMESPACE)
        # KServe's init containers set no profile of their own.
        models = self.add_namespace(f"{name}-models", _MODELS, level="baseline")
        definitions = manifest_objects.register(
            f"{name}-definition", kserve_manifests.definitions(default), child
        )
        manifest_objects.register(f"{name}-limit", kserve_manifests.name_limit(), child)
        secret, authority, digest = self._certificate(name, system)
        configuration = manifest_objects.register(
            f"{name}-upstream",
            [manifest for manifest in objects if manifest["kind"] not in _PROGRAMS],
            pulumi.ResourceOptions(parent=self, depends_on=[system]),
        )
        # A program that starts before its configuration ends, and waits longer after each time.
        programs = manifest_objects.register(
            f"{name}-upstream",
            [manifest for manifest in objects if manifest["kind"] in _PROGRAMS],
            pulumi.ResourceOptions(parent=self, depends_on=[secret, *definitions, *configuration]),
            digests={WEBHOOK_SECRET: digest},
        )
        # Before their program answers they would refuse what they are asked about.
        webhooks = manifest_objects.register(
            f"{name}-webhook",
            kserve_manifests.webhooks(default, authority),
            pulumi.ResourceOptions(parent=self, depends_on=programs),
        )
        ready = [
            _custom(
                f"{name}-{purpose}",
                manifest,
                pulumi.ResourceOptions(parent=self, depends_on=webhooks),
            )
            for purpose, manifest in (
                ("runtime", kserve_manifests.runtime(resources, args.cluster.image(_SERVER))),
                ("storage", kserve_manifests.storage_container(resources, images)),
            )
        ]
        self.runtime = RUNTIME
        self.namespace = pulumi.Output.all(
            models.metadata.name, *(resource.id for resource in ready)
        ).apply(lambda values: str(values[0]))
        self.register_outputs({"namespace": self.namespace})

    def _certificate(
        self, name: str, namespace: kubernetes.core.v1.Namespace
    ) -> tuple[kubernetes.core.v1.Secret, pulumi.Output[str], pulumi.Output[str]]:
        """Register the webhooks' certificate; return its Secret, its authority and its digest."""
        issued = WebhookCertificates(
            f"{name}-webhook-certificate",
            service=WEBHOOK_SERVICE,
            namespace=NAMESPACE,
            opts=pulumi.ResourceOptions(parent=self),
        )
        values = {"tls.crt": issued.certificate, "tls.key": issued.private_key}
        secret = kubernetes.core.v1.Secret(
            f"{name}-webhook-certificate",
            metadata={"name": WEBHOOK_SECRET, "namespace": namespace.metadata.name},
            type="kubernetes.io/tls",
            string_data=values,
            opts=pulumi.ResourceOptions(parent=self),
        )
        authority = issued.authority.apply(lambda pem: base64.b64encode(pem.encode()).decode())
        return secret, authority, keys_digest.digest(secret, values)


def _custom(
    name: str, manifest: Manifest, opts: pulumi.ResourceOptions
) -> kubernetes.apiextensions.CustomResource:
    return kubernetes.apiextensions.CustomResource(
        name,
        api_version=manifest["apiVersion"],
        kind=manifest["kind"],
        metadata=manifest["metadata"],
        spec=manifest["spec"],
        opts=opts,
    )
