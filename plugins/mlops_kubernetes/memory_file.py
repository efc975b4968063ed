"""Files for other programs that leave no copy behind, however this process ends.

A kubeconfig in a temporary folder stays there after SIGKILL, and after SIGTERM where nobody handles
it. One in memory goes with the process.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def memory_file(content: str | bytes, name: str = "kubeconfig") -> Iterator[Path]:
    """Give the path of a file in memory, which programs of this user read meanwhile.

    Args:
        content: what is in it.
        name: what it is called in lists of open files.

    Raises:
        OSError: the system gives no memory for it.
    """
    data = content.encode() if isinstance(content, str) else content
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        # By the process's number: a program that it starts has other descriptors.
        yield Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    finally:
        os.close(descriptor)
