"""The embedded cluster: upstream Kubernetes, by kubeadm, in namespaces of this machine.

No Docker, no image pull, no systemd: one process that supervises containerd, the kubelet and
kube-proxy is process 1 of the node, and killing it ends everything. What survives is below one
state folder per cluster.

    from mlops_infra.node import NodeSpec, create, delete, read

The modules, from the outside in: `cluster` (create, read, restart, update, delete), `preflight`,
`boot` (one node's start), `supervisor` (process 1), `config` (rendered files), `certificates`,
`images`, `network`, `limits`, `cgroups`, `state`, `spec`.
"""

from mlops_infra.node.cluster import (
    ClusterInfo,
    ClusterStatus,
    Health,
    create,
    delete,
    read,
    restart,
    update,
)
from mlops_infra.node.layout import Tools
from mlops_infra.node.leftovers import Leftover, leftovers
from mlops_infra.node.spec import NodeSpec, immutable_changes

__all__ = [
    "ClusterInfo",
    "ClusterStatus",
    "Health",
    "Leftover",
    "NodeSpec",
    "Tools",
    "create",
    "delete",
    "immutable_changes",
    "leftovers",
    "read",
    "restart",
    "update",
]
