"""A small C program of our own, linked statically for an image without a C library."""

from dataclasses import dataclass
from pathlib import Path

from mlops_toolchain import layout
from mlops_toolchain.artefact import Context


@dataclass(frozen=True, kw_only=True)
class CProgram:
    """One source file.

    Attributes:
        source: file below the checkout; the program has its name without the ending.
    """

    source: str
    kind: str = "c"

    def sources(self) -> tuple[Path, ...]:
        """Return the source file."""
        return (layout.checkout() / self.source,)

    def links(self) -> dict[str, str]:
        """Return nothing: an image holds the program."""
        return {}

    def build(self, context: Context) -> None:
        """Compile and link."""
        program = context.output / Path(self.source).stem
        context.run("gcc", "-Os", "-static", "-s", "-o", program, layout.checkout() / self.source)
