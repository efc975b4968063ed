"""Names of the project's images: a function of recipes and pins, known before anything is built."""

from pathlib import Path

from mlops_toolchain import engine, layout
from mlops_toolchain.artefacts import ARTEFACTS
from mlops_toolchain.build import is_built
from mlops_toolchain.keys import key
from mlops_toolchain.recipes.image import Image

_ARTEFACTS = {a.recipe.name: a for a in ARTEFACTS if isinstance(a.recipe, Image)}


def reference(name: str) -> str:
    """Return an image's full name; one of ours changes with everything that it is made of.

    Raises:
        KeyError: the toolchain has no such image.
    """
    artefact = _ARTEFACTS[name]
    assert isinstance(artefact.recipe, Image)  # noqa: S101 - by the selection above
    if artefact.recipe.reference:
        return artefact.recipe.reference
    return f"docker.io/local/{name}:{artefact.version}-{key(artefact.name)[:8]}"


def is_there(name: str) -> bool:
    """Return whether the toolchain has built an image as its sources are now.

    Raises:
        KeyError: the toolchain has no such image.
    """
    return is_built(_ARTEFACTS[name])


def is_expected(name: str) -> bool:
    """Return whether `make up` finds an image: it is there, or what runs before it obtains it.

    A preview thus says what the update will do, and waits for no image.

    Raises:
        KeyError: the toolchain has no such image.
    """
    return is_there(name) or _ARTEFACTS[name] in engine.wanted([], in_a_hurry=True)


def artefact(name: str) -> str:
    """Return the name by which the toolchain builds an image.

    Raises:
        KeyError: the toolchain has no such image.
    """
    return _ARTEFACTS[name].name


def archive(wanted: str) -> Path:
    """Return the OCI archive of an image given by its full name.

    Raises:
        KeyError: the toolchain has no such image.
    """
    names = {reference(name): name for name in _ARTEFACTS}
    return layout.image_archive(names[wanted])
