"""Kubeflow Pipelines' own UI, built from the `frontend/` of the backend's Go module.

The build is upstream's (its Dockerfile), less what a release needs no more: linting, tests, and the
two thousand packages of the component gallery and test runners. Some of those carry, by chance of
hoisting, two packages that the build itself needs; they become dependencies by name, and the lock
file still decides their versions.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from mlops_toolchain import layout
from mlops_toolchain.artefact import Context
from mlops_toolchain.recipes.edit import Edit
from mlops_toolchain.recipes.go import copy_from_module, module_folder
from mlops_toolchain.recipes.node import ENVIRONMENT, npm_ci

_MODULE = "github.com/kubeflow/pipelines"
_CHECKSUMS = Path("toolchain/go/kubeflow-pipelines/generate")
# What only its tests, its gallery of components and its mock server need.
_UNUSED = (
    "*.test.ts",
    "*.test.tsx",
    "*.snap",
    "stories",
    "mock-backend",
    "*Test*.ts*",
    "setupTests.ts",
)


@dataclass(frozen=True, kw_only=True)
class KubeflowUi:
    """`ui.tar`: the folder `client` of static files, and `server`, which Node.js runs.

    Attributes:
        version: release that the UI names as its own.
        module: version of the Go module github.com/kubeflow/pipelines.
        undeclared: packages that the build needs and package.json does not name.
        edits: what differs in upstream's sources.
    """

    version: str
    module: str
    undeclared: tuple[str, ...]
    edits: tuple[Edit, ...]
    kind: str = "npm"

    def sources(self) -> tuple[Path, ...]:
        """Return the module's checksums, and this file: it says how to build."""
        folder = layout.checkout() / _CHECKSUMS
        return (folder / "go.mod", folder / "go.sum", Path(__file__))

    def links(self) -> dict[str, str]:
        """Return nothing: the image copies the result."""
        return {}

    def build(self, context: Context) -> None:
        """Build client and server, and keep what runs."""
        module = module_folder(context, _MODULE, self.module, cwd=layout.checkout() / _CHECKSUMS)
        work = context.output / "work"
        copy_from_module(module / "frontend", work, shutil.ignore_patterns(*_UNUSED))
        for edit in self.edits:
            edit.apply(work)
        site = context.output / "site"
        site.mkdir()
        self._client(context, work)
        (work / "build").rename(site / "client")
        self._server(context, work / "server")
        (work / "server").rename(site / "server")
        shutil.rmtree(work)
        context.run(
            *("tar", "-C", site, "--owner=0", "--group=0", "--numeric-owner", "--sort=name"),
            *("-cf", context.output / "ui.tar", "."),
        )
        shutil.rmtree(site)

    def _client(self, context: Context, folder: Path) -> None:
        manifest = folder / "package.json"
        package = json.loads(manifest.read_text())
        types = {k: v for k, v in package["devDependencies"].items() if k.startswith("@types/")}
        package["dependencies"] |= types | dict.fromkeys(self.undeclared, "*")
        package["devDependencies"] = {
            k: v for k, v in package["devDependencies"].items() if k not in types
        }
        manifest.write_text(json.dumps(package, indent=2))
        npm_ci(context, folder, production=True)
        node = context.need("node") / "node"
        modules = folder / "node_modules"
        context.run(
            *(node, modules / "tailwindcss/lib/cli.js", "build", "-i", "src/tailwind.css"),
            *("-o", "src/build/tailwind.output.css"),
            cwd=folder,
            env=ENVIRONMENT,
        )
        context.run(
            *(node, modules / "react-scripts/bin/react-scripts.js", "build"),
            cwd=folder,
            env={
                **ENVIRONMENT,
                "DISABLE_ESLINT_PLUGIN": "true",
                "GENERATE_SOURCEMAP": "false",
                # webpack looks for the Node.js that it starts.
                "PATH": f"{node.parent}:/usr/local/bin:/usr/bin:/bin",
            },
        )

    def _server(self, context: Context, folder: Path) -> None:
        npm_ci(context, folder, production=False)
        context.run(
            *(context.need("node") / "node", "node_modules/typescript/bin/tsc", "--project", "."),
            # Upstream gets the last one from the types of its test runner.
            *("--lib", "es6,es2019,dom"),
            cwd=folder,
            env=ENVIRONMENT,
        )
        for entry in folder.iterdir():
            if entry.name not in ("dist", "package.json", "package-lock.json"):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        npm_ci(context, folder, production=True)
        # Read by compilers and debuggers only; licences stay.
        for pattern in ("*.map", "*.d.ts"):
            for file in folder.rglob(pattern):
                file.unlink()
        built, commit = self.module.split("-")[1:]
        for name, text in (
            ("TAG_NAME", self.version),
            ("COMMIT_HASH", commit),
            ("BUILD_DATE", built),
        ):
            (folder / "dist" / name).write_text(text)
