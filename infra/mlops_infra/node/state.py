"""What is recorded about a cluster: its spec, its network, and how far its creation came."""

import dataclasses
import ipaddress
import json
import logging
from dataclasses import dataclass
from enum import StrEnum

import yaml

from mlops_infra.node import durable
from mlops_infra.node.errors import RecordError
from mlops_infra.node.layout import StateFolder, state_root
from mlops_infra.node.spec import NodeSpec, Subnets

LOG = logging.getLogger(__name__)


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
    the cluster was given, `addons` tells which manifests were applied last (see addons.revision),
    `earlier_images` which references its images had before, the last one first.
    """

    spec: NodeSpec
    network: str
    owner: str
    phase: Phase
    stack_id: str = ""
    addons: str = ""
    earlier_images: tuple[str, ...] = ()

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
        durable.write(folder.record, text)


def read_record(folder: StateFolder) -> Record | None:
    """The cluster's record, or None when there is none (no cluster, or hardly begun).

    Raises RecordError when it can't be understood.
    """
    try:
        content = json.loads(folder.record.read_text())
        spec = content.pop("spec")
        spec["images"] = tuple(spec["images"])
        content["earlier_images"] = tuple(content.get("earlier_images", ()))
        return Record(**{**content, "spec": NodeSpec(**spec), "phase": Phase(content["phase"])})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordError(
            f"{folder.record} is damaged ({error}): {ways_out(folder.name)}"
        ) from error


def ways_out(name: str) -> str:
    """What to do with a cluster whose record is lost."""
    return (
        f"`python -m mlops_infra.node adopt {name}` takes the cluster over with its data, "
        f"`python -m mlops_infra.node down {name}` deletes it"
    )


def has_data(folder: StateFolder) -> bool:
    """Whether the folder holds what a cluster was used for: its objects or its volumes."""
    volumes = folder.volumes
    return (folder.etcd / "member").exists() or (volumes.is_dir() and any(volumes.iterdir()))


def salvage(folder: StateFolder) -> Record:
    """A record made of the node's own configuration, for a cluster that has lost its own.

    Its creation counts as not finished, so that the next `up` applies what may be missing. Which
    extra images it holds is not told: the next `up` names them again.

    Raises RecordError when the configuration is not there either.
    """
    path = folder.node_config / "kubeadm.yaml"
    try:
        init, cluster, kubelet = yaml.safe_load_all(path.read_text())
        address = init["localAPIEndpoint"]["advertiseAddress"]
        pods = ipaddress.IPv4Network(cluster["networking"]["podSubnet"])
        network = str(pods.supernet())
        if str(Subnets.of(network).node_address) != address:
            raise ValueError(f"{address} is not the node's address in {network}")
        reserved = kubelet.get("systemReserved") or {}
        spec = NodeSpec(
            name=folder.name,
            kubernetes_version=cluster["kubernetesVersion"].removeprefix("v"),
            reserved_memory=reserved.get("memory", "0"),
            reserved_cpu=reserved.get("cpu", "0"),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        raise RecordError(
            f"cluster {folder.name} cannot be taken over: {path} does not tell what it was "
            f"({error}). Its volumes are below {folder.volumes}: copy what is needed, then "
            f"`python -m mlops_infra.node down {folder.name}`"
        ) from error
    return Record(spec=spec, network=network, owner="", phase=Phase.INITIALISED)


def other_networks(folder: StateFolder) -> dict[str, str]:
    """Networks of the clusters other than this one, by their names.

    A cluster whose record is damaged or lost does not stop the others: its network is taken from
    its configuration, and if that is gone too, from the routes of this machine while it runs.
    """
    networks = {}
    for name in cluster_names():
        other = StateFolder.of(name)
        if name == folder.name:
            continue
        try:
            record = read_record(other)
            if record is None and other.node_config.exists():
                record = salvage(other)
        except RecordError as error:
            LOG.warning("%s", error)
            try:
                record = salvage(other)
            except RecordError:
                continue
        if record is not None:
            networks[name] = record.network
    return networks


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
