"""A model on every serving engine of a stack."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from mlops_platform.platform import Platform
from mlops_platform.serving.kserve import KServe
from mlops_platform.serving.model_server import Engine, ModelServer, ModelServerArgs
from mlops_platform.serving.rollout import Rollout
from mlops_platform.serving.seldon_core import MODEL_SERVER, SeldonCore
from mlops_rollout.sample import Sample


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What serving needs to know of a model.

    Attributes:
        name: its name in addresses and in Kubernetes: lower-case letters, digits and hyphens.
        model_name: registered model.
        sample: reads what versions are tested with; a function of a module.
        runtime_classes: Python class that answers, by engine; none for that of `mlops_serving`,
            which asks a classifier of scikit-learn by its signature.
        log_rate: share of the predictions that the log keeps, 0 to 1.
    """

    name: str
    model_name: str
    sample: Callable[[], Sample]
    runtime_classes: Mapping[Engine, str] = field(default_factory=dict)
    log_rate: float = 1.0


class ServedModel:
    """A model behind the gateway, once on each engine that a stack has.

    Args:
        prefix: first part of the resources' names, with its hyphen; empty for the model whose
            resources are in states since release 0.1.0.
        spec: the model.
        platform: what serves it.

    Attributes:
        servers: what serves it; none on a stack without an engine.
        settings: what a rollout needs to know of them, each as an `mlops_rollout` `ModelServer`.
        resources: what must be there before a version can be deployed.
    """

    servers: list[ModelServer]
    settings: pulumi.Output[list[dict[str, Any]]]
    resources: list[pulumi.Resource]

    def __init__(self, prefix: str, spec: ModelSpec, platform: Platform) -> None:
        self._prefix, self._spec, self._platform = prefix, spec, platform
        kserve, seldon = platform.kserve, platform.seldon
        # What runs a version: KServe's runtime, Seldon's image.
        found: tuple[tuple[Engine, KServe | SeldonCore | None, str], ...] = (
            ("kserve", kserve, kserve.runtime if kserve else ""),
            ("seldon", seldon, platform.cluster.image(MODEL_SERVER)),
        )
        self.servers = [
            ModelServer(
                f"{prefix}{engine}-model",
                ModelServerArgs(
                    engine=engine,
                    cluster=platform.cluster,
                    buckets=platform.buckets,
                    namespace=component.namespace,
                    server=server,
                    name=spec.name,
                    model_name=spec.model_name,
                    runtime_class=spec.runtime_classes.get(engine, ""),
                    log_rate=spec.log_rate,
                    pipeline_account=platform.pipelines.pipeline_account,
                ),
            )
            for engine, component, server in found
            if component
        ]
        self.settings = pulumi.Output.all(*(server.settings for server in self.servers))
        engines = (each for each in (kserve, seldon, platform.gateway) if each)
        self.resources = [*engines, *self.servers]

    def roll_out(self, *, after: pulumi.Input[str]) -> None:
        """Let serve what MLflow's registry says, once something has made it say so.

        Args:
            after: what the registry's word comes from; another value rolls out again.
        """
        if not self.servers:
            return
        cluster = self._platform.cluster
        options = pulumi.ResourceOptions(depends_on=self.resources)
        Rollout(
            f"{self._prefix}rollout",
            kubeconfig=cluster.kubeconfig,
            tracking_uri=self._platform.mlflow.url,
            model=self._spec.model_name,
            servers=self.settings,
            after=after,
            sample=self._spec.sample,
            opts=pulumi.ResourceOptions.merge(cluster.child_options(), options),
        )

    @property
    def outputs(self) -> dict[str, Any]:
        """What a stack tells of it, by the names of `WorkloadOutputs`."""
        gateway = self._platform.gateway
        if not gateway:
            return {"model_name": self._spec.model_name}
        return {
            "model_name": self._spec.model_name,
            "model_servers": self.settings,
            **{
                f"{server.engine}_url": pulumi.Output.concat(gateway.url, server.path)
                for server in self.servers
            },
        }
