"""What the other layers stand on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_infra.buckets import Buckets
from mlops_infra.cluster import Cluster


@dataclass(frozen=True, kw_only=True)
class Infra:
    """What the other layers stand on.

    Attributes:
        cluster: the cluster.
        buckets: the buckets.
        outputs: what the stack tells of both, by the names of its outputs.
    """

    cluster: Cluster
    buckets: Buckets
    outputs: Mapping[str, Any] = field(default_factory=dict)
