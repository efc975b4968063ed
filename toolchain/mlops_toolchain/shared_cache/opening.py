"""Which place MLOPS_SHARED_CACHE names."""

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from mlops_toolchain.errors import ToolchainError
from mlops_toolchain.shared_cache.store import Store

VARIABLE: Final = "MLOPS_SHARED_CACHE"

_FORMS = "a folder, s3://bucket/prefix, https://host/path or http://host/path"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def open_store() -> Store | None:
    """Return the shared cache that the environment names, None without one.

    Raises:
        ToolchainError: the address is none of those that are known; it is not shown, for it may
            hold a password.
    """
    address = os.environ.get(VARIABLE, "").strip()
    if not address:
        return None
    scheme = _SCHEME.match(address)
    # A command without the variable, and one that only reads a folder, pay for no client.
    if scheme is None:
        from mlops_toolchain.shared_cache.folder_store import FolderStore  # noqa: PLC0415

        return FolderStore(Path(address).expanduser().absolute())
    if scheme[1].lower() in ("http", "https"):
        from mlops_toolchain.shared_cache.http_store import HttpStore  # noqa: PLC0415

        return HttpStore(address)
    if scheme[1].lower() == "s3":
        return _bucket(address)
    raise ToolchainError(f"{VARIABLE} is {scheme[1]}://…, which is none of {_FORMS}")


def _bucket(address: str) -> Store:
    parts = urlsplit(address)
    if "@" in parts.netloc or parts.query:
        raise ToolchainError(
            f"{VARIABLE} has more than bucket and prefix: keys are read from AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY or AWS_PROFILE, an endpoint from AWS_ENDPOINT_URL_S3"
        )
    if not parts.netloc:
        raise ToolchainError(f"{VARIABLE} names no bucket: s3://bucket/prefix")
    from mlops_toolchain.shared_cache.s3_store import S3Store  # noqa: PLC0415

    return S3Store(parts.netloc, parts.path.strip("/"))
