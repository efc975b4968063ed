"""The images that a part of a stack runs: the part names them, everything else follows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol


@dataclass(frozen=True)
class Image:
    """An image that the toolchain builds.

    Attributes:
        name: the toolchain's name of it.
        published: whether upstream publishes one of the same program, which runs on clusters whose
            nodes can pull it.
    """

    name: str
    published: bool = False


class RunsImages(Protocol):
    """A class whose Pods run images of the toolchain."""

    IMAGES: ClassVar[tuple[Image, ...]]


def published(*names: str) -> tuple[Image, ...]:
    """Return images that upstream publishes too."""
    return tuple(Image(name, published=True) for name in names)


def images_of(parts: Iterable[type[RunsImages]], *, pulls_published: bool) -> tuple[str, ...]:
    """Return the names of the toolchain's images that parts of a stack run, each once.

    Args:
        parts: the parts.
        pulls_published: whether the cluster's nodes pull what upstream publishes.
    """
    names = [
        image.name
        for part in parts
        for image in part.IMAGES
        if not (image.published and pulls_published)
    ]
    return tuple(dict.fromkeys(names))
