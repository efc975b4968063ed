"""What a shared cache's place can do, and what it says when it cannot."""

from contextlib import AbstractContextManager
from typing import BinaryIO, Final, Protocol

from mlops_toolchain.errors import ToolchainError

CONNECT_SECONDS: Final = 5
"""A cache that takes longer to answer at all is not asked any more."""

READ_SECONDS: Final = 15
"""A transfer that stands still for longer is given up."""


class StoreError(ToolchainError):
    """The place refuses or does not answer; the message never has credentials in it."""


class NotThereError(StoreError):
    """The place has no such object."""


class ForbiddenError(StoreError):
    """The place does not show an object, perhaps because there is none.

    S3 answers so for a key that is not there to whoever may not list the bucket.
    """


class TransferError(StoreError):
    """A transfer that had begun did not end; the next one may."""


class Store(Protocol):
    """Objects by path. What is written is there as a whole or not at all.

    Attributes:
        shown: the address as messages may have it: without user, password or query.
    """

    shown: str

    def read(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Open an object; its stream raises `TransferError` when it is cut.

        Raises:
            NotThereError: there is none.
            ForbiddenError: it may not be read, or there is none.
            StoreError: the place does not answer, or refuses.
        """

    def size(self, path: str) -> int | None:
        """Return an object's size in bytes, None if there is none.

        Raises:
            StoreError: the place does not answer, or refuses.
        """

    def write(self, path: str, content: BinaryIO) -> None:
        """Write an object, in the place of an older one.

        Raises:
            StoreError: the place does not answer, refuses or takes no writes.
        """
