"""What is recorded about a cluster: its spec, its network, and how far its creation came."""

import dataclasses
import json
import os
from dataclasses import dataclass
from enum import StrEnum

from mlops_infra.node.errors import NodeError
from mlops_infra.node.layout import StateFolder, state_root
from mlops_infra.node.spec import NodeSpec, Subnets


class Phase(StrEnum):
    """How far a cluster's creation came."""

    ALLOCATED = "allocated"  # has its network and its folder; holds no data
    INITIALISED = "initialised"  # has certificates and an API server; data is kept from here on
    READY = "ready"  # add-ons applied


@dataclass(frozen=True, kw_only=True)
class Record:
    """The content of `state.json`.

    `owner` is the checkout that made the cluster, `stack_id` the random id of the stack that it
    belongs to (empty in records of version 0.1.0 and of clusters made by hand); `network` is what
    the cluster was given.
    """

    spec: NodeSpec
    network: str
    owner: str
    phase: Phase
    stack_id: str = ""

    @property
    def subnets(self) -> Subnets:
        """The cluster's addresses."""
        return Subnets.of(self.network)

    def belongs_to(self, *, owner: str, stack_id: str) -> bool:
        """Whether a caller that names itself so may change or delete the cluster.

        The stacks' ids decide where both sides have one: a path or a name says too little. Else
        the checkouts do, and a caller without either is a person who names the cluster.
        """
        if self.stack_id and stack_id:
            return self.stack_id == stack_id
        return not (self.owner and owner) or self.owner == owner

    def owned_by(self, *, owner: str, stack_id: str) -> "Record":
        """The same record, with the caller's names where it has given any."""
        return dataclasses.replace(
            self, owner=owner or self.owner, stack_id=stack_id or self.stack_id
        )

    def at(self, phase: Phase) -> "Record":
        """The same record, further on."""
        return dataclasses.replace(self, phase=phase)

    def of(self, spec: NodeSpec) -> "Record":
        """The same record with another spec."""
        return dataclasses.replace(self, spec=spec)

    def write(self, folder: StateFolder) -> None:
        """Write it in one step: a reader sees the old record or the new one."""
        text = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
        draft = folder.record.with_suffix(".new")
        with draft.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(folder.record)


def read_record(folder: StateFolder) -> Record | None:
    """The cluster's record, or None when there is none (no cluster, or hardly begun).

    Raises NodeError when it can't be understood.
    """
    try:
        content = json.loads(folder.record.read_text())
        spec = content.pop("spec")
        spec["images"] = tuple(spec["images"])
        return Record(**{**content, "spec": NodeSpec(**spec), "phase": Phase(content["phase"])})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NodeError(
            f"{folder.record} is damaged ({error}): delete the cluster with "
            f"`python -m mlops_infra.node down {folder.name}` and create it again"
        ) from error


def other_networks(folder: StateFolder) -> dict[str, str]:
    """Networks of the clusters other than this one, by their names."""
    records = {name: read_record(StateFolder.of(name)) for name in cluster_names()}
    return {
        name: record.network
        for name, record in records.items()
        if record is not None and name != folder.name
    }


def cluster_names() -> tuple[str, ...]:
    """Clusters that have a folder on this machine, running or not."""
    root = state_root()
    if not root.is_dir():
        return ()
    return tuple(
        sorted(
            entry.name
            for entry in root.iterdir()
            if entry.is_dir() and not entry.name.startswith(".")
        )
    )
