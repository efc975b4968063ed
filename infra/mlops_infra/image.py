"""The images that a part of a stack runs: the part names them, everything else follows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from mlops_infra.identity import Identity


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


class Part(Protocol):
    """A class whose Pods run on a stack's cluster."""

    IMAGES: ClassVar[tuple[Image, ...]]
    IDENTITIES: ClassVar[tuple[Identity, ...]]


def published(*names: str) -> tuple[Image, ...]:
    """Return images that upstream publishes too."""
    return tuple(Image(name, published=True) for name in names)


def images_of(parts: Iterable[type[Part]], *, pulls_published: bool) -> tuple[str, ...]:
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
