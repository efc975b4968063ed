"""Patches of upstream's sources: unified diffs, refused when upstream has moved on."""

from pathlib import Path

from mlops_toolchain.artefact import Context
from mlops_toolchain.errors import ToolchainError


def apply_patches(context: Context, patches: Path, module: Path) -> None:
    """Apply every patch of a folder to a copy of a module, in the order of their names.

    Args:
        context: runs git.
        patches: folder of the `*.patch` files.
        module: the copy.

    Raises:
        ToolchainError: there is no patch, or one does not apply.
    """
    found = sorted(patches.glob("*.patch"))
    if not found:
        raise ToolchainError(f"{patches} holds no patch")
    for patch in found:
        try:
            context.run(
                *("git", "apply", "--whitespace=nowarn", patch),
                cwd=module,
                # Inside of a repository, git would leave out whatever lies beside its files.
                env={"GIT_CEILING_DIRECTORIES": str(module.resolve().parent)},
            )
        except ToolchainError as error:
            raise ToolchainError(
                f"{patch.name} is for another version of {module.name}: {error}"
            ) from error
