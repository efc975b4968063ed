"""Where the toolchain's data sets are, by name and version."""

from pathlib import Path

from mlops_toolchain.artefacts import ARTEFACTS
from mlops_toolchain.errors import ToolchainError
from mlops_toolchain.keys import result
from mlops_toolchain.recipes.dataset import FlightsDataset

_BY_NAME = {each.name: each for each in ARTEFACTS if isinstance(each.recipe, FlightsDataset)}


def version(name: str) -> str:
    """Return the version of a data set that the toolchain makes.

    Raises:
        KeyError: it makes no such data set.
    """
    return _BY_NAME[name].version


def folder(name: str, version: str) -> Path:
    """Return the folder of a data set's files, which is there once the toolchain has made it.

    Raises:
        ToolchainError: it makes no such data set, or another version of it.
    """
    artefact = _BY_NAME.get(name)
    if artefact is None:
        raise ToolchainError(
            f"the toolchain makes no data set {name}; it makes {', '.join(sorted(_BY_NAME))}"
        )
    if artefact.version != version:
        raise ToolchainError(
            f"the toolchain makes version {artefact.version} of the data set {name}, not {version}"
        )
    (link,) = artefact.recipe.links().values()
    return result(artefact) / link
