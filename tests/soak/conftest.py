"""The soak uses the clusters' fixtures."""

from tests.cluster.conftest import busybox, kubectl, machine, new_name

__all__ = ["busybox", "kubectl", "machine", "new_name"]
