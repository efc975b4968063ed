"""One command at a time works on a stack of this checkout.

Pulumi's own lock covers an update or a destroy alone. A command does more: it reads tags first,
deletes the cluster and looks for leftovers afterwards.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from mlops_infra.node import errors
from mlops_infra.node.lock import locked
from mlops_stack import environment


class BusyError(Exception):
    """Another command of this checkout works on the stack; nothing was changed."""


@contextlib.contextmanager
def stack_lock(stack: str, command: str) -> Iterator[None]:
    """Keep other commands off a stack while the block runs.

    Args:
        stack: the stack's name.
        command: what works on it, for the message that others get.

    Raises:
        BusyError: another command works on it.
    """
    folder = environment.state_dir() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{stack}.lock"
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(file, wait=0, what=stack))
        except errors.BusyError:
            raise BusyError(
                f"{_holder(file)} works on stack {stack}; wait for it to end, or interrupt it, "
                "then run this again. Nothing was changed"
            ) from None
        # The file stays, and so does what is in it: only a held lock says something.
        file.write_text(f"`{command}` (process {os.getpid()}, since {time.strftime('%H:%M:%S')})")
        yield


def _holder(file: Path) -> str:
    # The holder writes its name just after it has taken the lock.
    return file.read_text() or "another command"
