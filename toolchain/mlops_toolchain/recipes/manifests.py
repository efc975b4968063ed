"""Kubernetes manifests, rendered once by kustomize so that no preview waits for it."""

from dataclasses import dataclass
from pathlib import Path

from mlops_toolchain.artefact import Context


@dataclass(frozen=True, kw_only=True)
class RenderedManifests:
    """Kustomizations of an artefact as one YAML file each.

    Attributes:
        source: artefact whose folder `manifests` holds them.
        folder: folder of the files in the view's `manifests`.
        kustomizations: name of each file, with the folder of its kustomization.
    """

    source: str
    folder: str
    kustomizations: tuple[tuple[str, str], ...]
    kind: str = "kustomize"

    def sources(self) -> tuple[Path, ...]:
        """Return nothing: the needed artefact decides."""
        return ()

    def links(self) -> dict[str, str]:
        """Return each file's place in the view."""
        return {
            f"manifests/{self.folder}/{name}.yaml": f"{name}.yaml"
            for name, _ in self.kustomizations
        }

    def build(self, context: Context) -> None:
        """Render."""
        manifests = context.need(self.source) / "manifests"
        for name, folder in self.kustomizations:
            context.run(
                *(context.need("kubernetes") / "kubectl", "kustomize", manifests / folder),
                *("--output", context.output / f"{name}.yaml"),
            )
