"""Edits of upstream's sources: few, small, and refused when upstream has moved on."""

from dataclasses import dataclass
from pathlib import Path

from mlops_toolchain.errors import ToolchainError


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One replacement in a file.

    Attributes:
        file: path in the module.
        old: text that is there exactly once.
        new: text in its place.
    """

    file: str
    old: str
    new: str

    def apply(self, module: Path) -> None:
        """Make the replacement in a copy of the module.

        Raises:
            ToolchainError: the text is not there, or more than once.
        """
        file = module / self.file
        text = file.read_text()
        if text.count(self.old) != 1:
            raise ToolchainError(
                f"{self.file} does not hold {self.old!r} exactly once; the edit is for another "
                "version"
            )
        file.write_text(text.replace(self.old, self.new))
