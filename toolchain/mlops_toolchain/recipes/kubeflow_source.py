"""The Go workspace of Kubeflow Pipelines and Argo, completed where published modules have gaps.

Go's proxy serves the backend's module but not three modules that it is written against:

- its two API modules are not published at the backend's commit. Their Go packages are generated
  from the descriptors inside the Python packages of the same release;
- Argo's zip lacks a symbolic link that its Linux build needs, because zips of modules have none;
- the SQLite driver needs a C compiler, and the API server only names its error codes.

`toolchain/go/kubeflow-pipelines` holds the workspace's go.mod with these replacements, and go.sum.
What differs in the backend stands in `toolchain/patches/kubeflow-pipelines`.
"""

import ast
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from mlops_toolchain import layout
from mlops_toolchain.artefact import Context
from mlops_toolchain.errors import ToolchainError
from mlops_toolchain.recipes.edit import Edit
from mlops_toolchain.recipes.go import PATCHES, copy_from_module, go_environment, module_folder
from mlops_toolchain.recipes.patches import apply_patches
from mlops_toolchain.recipes.python_packages import unpack_wheels

_WORKSPACE = Path("toolchain/go/kubeflow-pipelines")
_PIPELINES = "github.com/kubeflow/pipelines"
_ARGO = "github.com/argoproj/argo-workflows/v3"
# Modules of `_PIPELINES` that are generated, each from one file of a Python package.
_DESCRIPTORS = (
    ("api", "kfp/pipeline_spec/pipeline_spec_pb2.py"),
    ("kubernetes_platform", "kfp/kubernetes/kubernetes_executor_config_pb2.py"),
)
# Folders of Argo that no Go package is in, and which are most of its size.
_UNUSED = ("ui", "sdks", "docs", "examples", "community", "hack", "manifests")


@dataclass(frozen=True, kw_only=True)
class KubeflowSource:
    """The workspace `source/`, and the modules' own kustomize manifests in `manifests/`.

    The backend has the patches in `toolchain/patches/kubeflow-pipelines`: each is a unified diff
    whose header gives the reason, and they apply in the order of their names.

    Attributes:
        pipelines: version of the module github.com/kubeflow/pipelines.
        argo: version of the module github.com/argoproj/argo-workflows/v3.
        packages: requirements with hashes of the Python packages that hold descriptors.
        edits: what differs in Argo.
    """

    pipelines: str
    argo: str
    packages: tuple[str, ...]
    edits: tuple[Edit, ...]
    kind: str = "go"

    def sources(self) -> tuple[Path, ...]:
        """Return the workspace's folder, and the patches."""
        return (layout.checkout() / _WORKSPACE, self._patches())

    def links(self) -> dict[str, str]:
        """Return nothing: builds use it."""
        return {}

    def build(self, context: Context) -> None:
        """Generate, copy and complete."""
        source = context.output / "source"
        shutil.copytree(layout.checkout() / _WORKSPACE, source)
        self._generate(context, source)
        argo = module_folder(context, _ARGO, self.argo, cwd=source / "generate")
        pipelines = module_folder(context, _PIPELINES, self.pipelines, cwd=source / "generate")
        # The backend alone: the rest of the module holds no Go package that it imports.
        copy_from_module(
            pipelines / "backend",
            source / "pipelines/backend",
            ignore=shutil.ignore_patterns("*_test.go", "testdata"),
        )
        shutil.copyfile(pipelines / "go.mod", source / "pipelines/go.mod")
        apply_patches(context, self._patches(), source / "pipelines")
        copy_from_module(
            argo,
            source / "argo-workflows",
            # At the top only: folders of Go code have some of these names too.
            ignore=lambda folder, _: _UNUSED if Path(folder) == argo else (),
        )
        for edit in self.edits:
            edit.apply(source / "argo-workflows")
        signals = source / "argo-workflows/workflow/executor/os-specific"
        shutil.copyfile(signals / "signal_darwin.go", signals / "signal_linux.go")
        copy_from_module(pipelines / "manifests/kustomize", context.output / "manifests/pipelines")
        copy_from_module(argo / "manifests", context.output / "manifests/argo")
        _localise(context.output / "manifests", self.argo)
        shutil.copyfile(
            pipelines / "backend/src/apiserver/config/config.json", context.output / "config.json"
        )
        shutil.rmtree(source / "generate")

    @staticmethod
    def _patches() -> Path:
        return layout.checkout() / PATCHES / "kubeflow-pipelines"

    def _generate(self, context: Context, source: Path) -> None:
        work = context.output / "work"
        work.mkdir()
        unpack_wheels(context, self.packages, work / "packages")
        files: list[Path] = []
        for module, path in _DESCRIPTORS:
            files.append(work / f"{module}.desc")
            files[-1].write_bytes(_descriptor(work / "packages" / path))
        context.run(
            context.need("go") / "go",
            *("run", "."),
            *(work / "go", *files),
            cwd=source / "generate",
            env=go_environment(context.cache),
        )
        for module, _ in _DESCRIPTORS:
            copy_from_module(work / "go" / _PIPELINES / module, source / module)
        shutil.rmtree(work)


def _descriptor(generated: Path) -> bytes:
    """Return the FileDescriptorProto in a module that protoc wrote, without running the module."""
    found = [
        call.args[0].value
        for call in ast.walk(ast.parse(generated.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "AddSerializedFile"
        and isinstance(call.args[0], ast.Constant)
    ]
    if len(found) != 1 or not isinstance(found[0], bytes):
        raise ToolchainError(f"{generated.name} holds no descriptor: another protoc wrote it")
    return found[0]


def _localise(manifests: Path, argo: str) -> None:
    """Point kustomizations that name Argo's repository at the copy of its manifests.

    Raises:
        ToolchainError: a kustomization would still need the network.
    """
    remote = "https://github.com/argoproj/argo-workflows/manifests/"
    for file in manifests.rglob("kustomization.yaml"):
        text = file.read_text()
        if remote not in text:
            continue
        up = os.path.relpath(manifests / "argo", file.parent)
        text = text.replace(remote, f"{up}/").replace(f"?ref={argo}", "")
        if "?ref=" in text:
            raise ToolchainError(f"{file.relative_to(manifests)} is for another Argo than {argo}")
        file.write_text(text)
