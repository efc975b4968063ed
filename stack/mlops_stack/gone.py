"""A cluster that was deleted below its stack: what the stack had in it is gone as well.

The engine would delete each of its objects by an address where nobody listens, or where another
cluster has other keys. They are dropped from the state instead, and the update makes all anew.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Final

from mlops_infra import kind_cluster
from mlops_infra.node import cluster
from mlops_stack import report
from mlops_stack.lasting import EVERYTHING, DataLossError
from mlops_stack.pulumi_cli import Stack
from mlops_stack.review.data_at_risk import is_cluster

_STACK: Final = "pulumi:pulumi:Stack"


def drop(stack: Stack, *, allowed: frozenset[str] = frozenset()) -> None:
    """Drop a cluster that is gone, and all that was in it, from the stack's state.

    Args:
        stack: the stack.
        allowed: names of the resources that a lasting stack may lose; `EVERYTHING` for all.

    Raises:
        DataLossError: the stack is not ephemeral, and nobody has allowed it; nothing was changed.
        PulumiError: the backend does not answer.
    """
    exported = stack.export()
    resources = (exported.get("deployment") or {}).get("resources") or []
    found = clusters(resources)
    if not found:
        return
    name = str(found[0]["urn"]).rpartition("::")[2]
    if not stack.settings().ephemeral and not {EVERYTHING, name} & allowed:
        raise DataLossError(
            f"the cluster of stack {stack.name} is gone, with the data that was in it; the stack "
            "is not ephemeral, so nothing was made in its place. Bring the cluster back, or let "
            f"everything be made anew: `make up{stack.make_argument} REPLACE={name}`"
        )
    gone = dependents(resources, {str(r["urn"]) for r in found})
    exported["deployment"]["resources"] = [r for r in resources if r["urn"] not in gone]
    exported["deployment"]["pending_operations"] = []
    stack.import_state(exported)
    report.plain(
        f"the cluster of stack {stack.name} is gone: {len(gone)} resources are dropped from its "
        "state, and all is made anew"
    )


def clusters(resources: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the clusters in a state that do not exist any more."""
    return [r for r in resources if is_cluster(r["type"]) and _is_gone(r)]


def dependents(resources: Iterable[Mapping[str, Any]], roots: set[str]) -> set[str]:
    """Return resources, and all that lives in them or was made from what they gave.

    Args:
        resources: as a state holds them: each comes after what it needs.
        roots: URNs to begin with.
    """
    gone = set(roots)
    for resource in resources:
        if resource["type"] == _STACK:
            continue
        properties = (resource.get("propertyDependencies") or {}).values()
        needs = {
            *(resource.get("dependencies") or ()),
            *chain.from_iterable(urns or () for urns in properties),
            resource.get("parent"),
            resource.get("deletedWith"),
            # A provider is referred to as URN::ID.
            str(resource.get("provider") or "").rpartition("::")[0],
        }
        if needs & gone:
            gone.add(str(resource["urn"]))
    return gone


def _is_gone(resource: Mapping[str, Any]) -> bool:
    kind, name = str(resource["type"]).rpartition(":")[2], str(resource.get("id", ""))
    match kind:
        case "EmbeddedCluster":
            return cluster.read(name).health is cluster.Health.ABSENT
        case "KindCluster":
            return kind_cluster.is_gone(name)
        case _:
            return False
