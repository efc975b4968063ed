"""Whether a destroy went in the order that leaves nothing behind in AWS."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_DYNAMIC: Final = "pulumi-python:dynamic/mlops:"
_PROTECTIONS: Final = (
    "BucketVersioning",
    "BucketPolicy",
    "BucketServerSideEncryptionConfiguration",
)
# The agent of Pod Identity runs on every node, and may go with the nodes.
_CONTROLLERS: Final = ("eks-aws-ebs-csi-driver", "eks-coredns")


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """One resource's deletion.

    Attributes:
        type: the resource's type.
        name: its name in the program.
        began: number of the engine's event with which it began.
        ended: number of the one with which it ended.
    """

    type: str
    name: str
    began: int
    ended: int


def deletions(log: Path) -> list[Deletion]:
    """Return what the engine deleted, from its event log."""
    began: dict[str, int] = {}
    found = []
    for number, line in enumerate(log.read_text().splitlines()):
        event: dict[str, Any] = json.loads(line)
        start = (event.get("resourcePreEvent") or {}).get("metadata")
        end = (event.get("resOutputsEvent") or {}).get("metadata")
        if start and start["op"] == "delete":
            began[start["urn"]] = number
        if end and end["op"] == "delete":
            urn = end["urn"]
            name = urn.rpartition("::")[2]
            found.append(
                Deletion(type=end["type"], name=name, began=began[urn], ended=number),
            )
    return found


def problems(seen: Iterable[Deletion]) -> list[str]:
    """Return where the order was not kept; one line each."""
    stages: dict[str, list[Deletion]] = {stage: [] for pair in _ORDER for stage in pair}
    for deletion in seen:
        for stage in _stages(deletion):
            stages[stage].append(deletion)
    wrong = [f"no {stage} were deleted" for stage, found in stages.items() if not found]
    for before, after in _ORDER:
        first = min(stages[after], key=lambda d: d.began, default=None)
        last = max(stages[before], key=lambda d: d.ended, default=None)
        if first and last and first.began < last.ended:
            wrong.append(f"{after} ({first.name}) went before {before} ({last.name})")
    return wrong


_ORDER: Final = (
    ("objects of Kubeflow", "programs"),
    # A claim stays until no Pod uses it any more: that order is Kubernetes' own.
    ("programs", "drains"),
    ("claims of volumes", "drains"),
    ("objects of Kubernetes", "drains"),
    ("drains", "controllers"),
    ("drains", "identities of Pods"),
    ("controllers", "nodes"),
    ("nodes", "control planes"),
    ("control planes", "networks"),
    ("data sets", "protections of their bucket"),
)


def _stages(deletion: Deletion) -> Iterable[str]:
    kind = deletion.type.rpartition(":")[2]
    if deletion.type.startswith("kubernetes:"):
        yield "objects of Kubernetes"
        if kind in ("Deployment", "StatefulSet"):
            yield "programs"
        if kind == "PersistentVolumeClaim":
            yield "claims of volumes"
    elif deletion.type in (f"{_DYNAMIC}PipelineVersion", f"{_DYNAMIC}RecurringRun"):
        yield "objects of Kubeflow"
    elif deletion.type == f"{_DYNAMIC}Dataset":
        yield "data sets"
    elif kind in _PROTECTIONS and "-datasets-" in deletion.name:
        yield "protections of their bucket"
    elif deletion.type == f"{_DYNAMIC}Drain":
        yield "drains"
    elif kind == "Addon" and deletion.name in _CONTROLLERS:
        yield "controllers"
    elif kind == "PodIdentityAssociation":
        yield "identities of Pods"
    elif kind == "NodeGroup":
        yield "nodes"
    elif deletion.type == "aws:eks/cluster:Cluster":
        yield "control planes"
    elif kind in ("Vpc", "Subnet"):
        yield "networks"
