"""Kubernetes manifests that a Go module carries beside its code, rendered once by kustomize."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from mlops_toolchain import layout
from mlops_toolchain.artefact import Context
from mlops_toolchain.recipes.go import copy_from_module, module_folder

_MODULES = Path("toolchain/go")


@dataclass(frozen=True, kw_only=True)
class ModuleManifests:
    """Kustomizations of a module as one list of objects each.

    As JSON: the definitions are megabytes, which every preview reads, and YAML takes seconds.

    Attributes:
        module: folder below toolchain/go whose go.sum verifies the module.
        path: the module's path.
        version: its version.
        root: folder of the module that holds all that the kustomizations name.
        folder: folder of the files in the view's `manifests`.
        kustomizations: name of each file, with the folder of its kustomization below `root`.
    """

    module: str
    path: str
    version: str
    root: str
    folder: str
    kustomizations: tuple[tuple[str, str], ...]
    kind: str = "kustomize"

    def sources(self) -> tuple[Path, ...]:
        """Return the module's go.mod and go.sum."""
        folder = layout.checkout() / _MODULES / self.module
        return (folder / "go.mod", folder / "go.sum")

    def links(self) -> dict[str, str]:
        """Return each file's place in the view."""
        return {
            f"manifests/{self.folder}/{name}.json": f"{name}.json"
            for name, _ in self.kustomizations
        }

    def build(self, context: Context) -> None:
        """Render, and write as JSON."""
        cwd = layout.checkout() / _MODULES / self.module
        source = module_folder(context, self.path, self.version, cwd=cwd)
        work = context.output / "work"
        # kustomize refuses links out of its folder, and the cache is read-only.
        copy_from_module(source / self.root, work / "source")
        for name, folder in self.kustomizations:
            rendered = work / f"{name}.yaml"
            context.run(
                *(context.need("kubernetes") / "kubectl", "kustomize", work / "source" / folder),
                *("--output", rendered),
            )
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            found = list(yaml.load_all(rendered.read_text(), Loader=loader))
            # Dates of upstream's examples are read as such, and JSON has none.
            (context.output / f"{name}.json").write_text(json.dumps(found, default=str))
        shutil.rmtree(work)
