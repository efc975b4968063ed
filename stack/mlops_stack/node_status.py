"""What `make status` says of an embedded cluster itself: whether it is well, and for how long."""

import datetime

from mlops_infra.node import cluster
from mlops_infra.node.certificates import RENEW_BEFORE


def problem(name: str) -> str | None:
    """Return why the embedded cluster is not well, or None when it is."""
    status = cluster.read(name)
    if status.health is cluster.Health.HEALTHY:
        return None
    return f"is {status.health}: {'; '.join(status.reasons) or 'run `make up`'}"


def warning(name: str, now: datetime.datetime | None = None) -> str | None:
    """Return a line on certificates that end within the time in which `make up` renews them."""
    info = cluster.read(name).info
    if info is None or info.certificates_end is None:
        return None
    left = info.certificates_end - (now or datetime.datetime.now(datetime.UTC))
    if left >= RENEW_BEFORE:
        return None
    return (
        f"the cluster's certificates end on {info.certificates_end:%Y-%m-%d}, in "
        f"{max(left.days, 0)} days: `make up` renews them"
    )
