"""Whether this machine can carry a cluster, asked before anything is touched."""

from mlops_infra.node.layout import Tools
from mlops_infra.node.spec import NodeSpec


def check(spec: NodeSpec, tools: Tools, *, owner: str) -> None:
    """Placeholder."""
