"""The notebook controller: Notebooks as Pods that keep their volume."""

from dataclasses import dataclass
from typing import ClassVar

import pulumi

from mlops_infra.cluster import Cluster
from mlops_infra.image import published
from mlops_platform import manifest_objects
from mlops_platform.component import Component
from mlops_platform.notebooks import notebook_manifests
from mlops_platform.notebooks.notebook_manifests import NAMESPACE
from mlops_toolchain import layout

NOTEBOOKS_NAMESPACE = "notebooks"
_CONTROLLER = "notebook-controller"


@dataclass(frozen=True, kw_only=True)
class NotebookControllerArgs:
    """What the notebook controller needs.

    Attributes:
        cluster: where it runs.
    """

    cluster: Cluster


class NotebookController(Component):
    """The controller of Notebooks.

    Attributes:
        namespace: namespace of Notebooks, known once they are accepted.
    """

    namespace: pulumi.Output[str]

    TOKEN: ClassVar = "mlops:platform:NotebookController"  # noqa: S105 - a resource's type
    NAME: ClassVar = "notebooks"
    IMAGES: ClassVar = published(_CONTROLLER)

    def __init__(
        self, name: str, args: NotebookControllerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.cluster, opts)
        child = self.child
        rendered = layout.manifests_dir() / "notebook-controller" / "standalone.json"
        controller = args.cluster.own_image(_CONTROLLER)
        objects = notebook_manifests.objects(rendered, controller=controller)
        definition = notebook_manifests.definition(rendered)
        system = self.add_namespace(f"{name}-system", NAMESPACE)
        notebooks = self.add_namespace(f"{name}-notebooks", NOTEBOOKS_NAMESPACE)
        definitions = manifest_objects.register(f"{name}-definition", [definition], child)
        programs = manifest_objects.register(
            f"{name}-upstream",
            objects,
            pulumi.ResourceOptions(parent=self, depends_on=[system, *definitions]),
        )
        self.namespace = pulumi.Output.all(
            notebooks.metadata.name, *(program.urn for program in programs)
        ).apply(lambda values: str(values[0]))
        self.register_outputs({"namespace": self.namespace})
