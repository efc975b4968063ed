"""Who of a stack may do what with its buckets, where Pods have identities of their own."""

from dataclasses import dataclass
from typing import Literal

Purpose = Literal["datasets", "artifacts", "models", "pipelines"]


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a service may do with a part of a bucket.

    Attributes:
        bucket: which of the stack's buckets.
        prefix: beginning of the keys, with its slash; empty for all.
        write: whether it may write and delete, too.
    """

    bucket: Purpose
    prefix: str = ""
    write: bool = False


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A service with an identity.

    Attributes:
        name: names the role that it takes on.
        namespace: where its Pods run.
        account: their service account.
        access: what it may do.
    """

    name: str
    namespace: str
    account: str
    access: tuple[Access, ...]
