"""Create, read, restart, change and delete embedded clusters."""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mlops_infra.node import addons, boot, config, images, network, preflight
from mlops_infra.node.api import ApiClient
from mlops_infra.node.cgroups import ClusterCgroups
from mlops_infra.node.command import run
from mlops_infra.node.errors import ImmutableChangeError, NodeError, NoSuchClusterError, OwnerError
from mlops_infra.node.layout import StateFolder, Tools, state_root
from mlops_infra.node.lock import is_locked, locked
from mlops_infra.node.spec import NodeSpec, immutable_changes
from mlops_infra.node.state import Phase, Record, other_networks, read_record

Progress = Callable[[str, float], None]
"""Called after each phase with its name and the seconds it took."""

_LOCK_WAIT = 120.0
_SELF_REPAIR_SECONDS = 20.0


def _silent(_phase: str, _seconds: float) -> None:
    return


class Health(StrEnum):
    """Whether a cluster can be used."""

    ABSENT = "absent"
    HEALTHY = "healthy"
    STOPPED = "stopped"  # its data is there, its processes are not
    BROKEN = "broken"  # something runs, but not all that should


@dataclass(frozen=True, kw_only=True)
class ClusterInfo:
    """What users of a cluster need. `kubeconfig` is a secret: it holds the administrator's key."""

    name: str
    kubernetes_version: str
    kubeconfig: str = field(repr=False)
    api_url: str
    node_name: str
    node_address: str
    host_address: str
    network: str
    pod_subnet: str
    service_subnet: str
    storage_class: str
    kubeconfig_path: str
    state_folder: str


@dataclass(frozen=True, kw_only=True)
class ClusterStatus:
    """How a cluster is; `reasons` say why it is not healthy.

    `spec` and `info` are there as soon as the cluster has been created so far. `owner` and
    `stack_id` say whose it is (see Record); empty where nobody has said it.
    """

    name: str
    health: Health
    reasons: tuple[str, ...] = ()
    owner: str = ""
    stack_id: str = ""
    spec: NodeSpec | None = None
    info: ClusterInfo | None = None


def create(
    spec: NodeSpec,
    *,
    owner: str = "",
    stack_id: str = "",
    tools: Tools | None = None,
    progress: Progress = _silent,
) -> ClusterInfo:
    """Make the cluster exist and run as `spec` says; it may exist already, in any condition.

    A healthy one is returned (after changes that it can take while it runs), a stopped or broken
    one is restarted with its data, and one whose creation was interrupted before it held any data
    is made anew. Returns when the node is Ready and the add-ons are applied; their pods may still
    be starting. `owner` names the checkout and `stack_id` the stack that it belongs to; one that
    belongs to another is refused.

    Raises OwnerError and PreflightError before anything is touched, ImmutableChangeError when the
    existing cluster would have to be replaced, and BootError when the node does not come up.
    """
    tools = tools or Tools.default()
    timer = _Timer(progress)
    with _cluster_lock(spec.name):
        folder = StateFolder.of(spec.name)
        record = read_record(folder)
        if record is not None:
            record = _owned(record, owner=owner, stack_id=stack_id)
            if record.phase is not Phase.ALLOCATED:
                return _revive(record, spec, folder, tools, timer)
        with timer("clean"):
            _destroy(folder)
        spec = spec.resolved()
        tools = tools.of_kubernetes(spec.kubernetes_version)
        with timer("preflight"):
            preflight.check(spec, tools)
        with timer("image store"):
            base = images.base_archives(tools)
            images.BaseImages.of(base, kubernetes_version=spec.kubernetes_version)
            seed = images.seed((*base, *images.extra_archives(tools, spec.images)), tools)
        record = _allocate(spec, folder, owner=owner, stack_id=stack_id)
        with timer("images"):
            images.clone(seed, folder.containerd)
        node = boot.Node(_prepare(record, folder, tools))
        try:
            with timer("namespaces"):
                pid = node.launch()
                node.open_gate(pid)
                node.await_containerd(pid)
            with timer("control plane"):
                node.initialise(pid)
        except NodeError:
            # Its logs stay until the next attempt; its processes would only go on failing
            node.stop()
            raise
        record = record.at(Phase.INITIALISED)
        record.write(folder)
        return _finish(record, folder, node, pid, timer)


def read(name: str) -> ClusterStatus:
    """How the cluster is, without changing anything. Absent is an answer, not an error."""
    folder = StateFolder.of(name)
    cgroups = ClusterCgroups.of(name)
    try:
        record = read_record(folder)
    except NodeError as error:
        return ClusterStatus(name=name, health=Health.BROKEN, reasons=(str(error),))
    if record is None:
        if folder.path.exists() or cgroups.existing():
            return ClusterStatus(name=name, health=Health.BROKEN, reasons=(_unfinished(name),))
        return ClusterStatus(name=name, health=Health.ABSENT)
    if record.phase is Phase.ALLOCATED:
        return ClusterStatus(
            name=name,
            health=Health.BROKEN,
            reasons=(_unfinished(name),),
            owner=record.owner,
            stack_id=record.stack_id,
            spec=record.spec,
        )
    info = _info(record, folder)
    if cgroups.first_process() is None:
        return ClusterStatus(
            name=name,
            health=Health.STOPPED,
            reasons=("none of its processes runs (the machine restarted, or they were killed)",),
            owner=record.owner,
            stack_id=record.stack_id,
            spec=record.spec,
            info=info,
        )
    reasons = tuple(_problems(record, folder))
    return ClusterStatus(
        name=name,
        health=Health.BROKEN if reasons else Health.HEALTHY,
        reasons=reasons,
        owner=record.owner,
        stack_id=record.stack_id,
        spec=record.spec,
        info=info,
    )


def version_refusal(spec: NodeSpec) -> str | None:
    """What to say when the existing cluster has another Kubernetes version than `spec` names."""
    try:
        record = read_record(StateFolder.of(spec.name))
    except NodeError:
        return None  # whoever needs the record says what is wrong with it
    if record is None or record.phase is Phase.ALLOCATED:
        return None
    held, named = record.spec.kubernetes_version, spec.resolved(record.spec.kubernetes_version)
    if named.kubernetes_version == held:
        return None
    return (
        f"cluster {spec.name} has Kubernetes {held}, and {named.kubernetes_version} is asked for: "
        f"`make upgrade STACK={spec.name}` brings it to a newer one with its data; an older one "
        "only a new cluster can have"
    )


def restart(name: str, *, tools: Tools | None = None, progress: Progress = _silent) -> ClusterInfo:
    """Stop what still runs of the cluster and start it again with its data.

    Raises NoSuchClusterError when there is no cluster of that name with data to keep.
    """
    tools = tools or Tools.default()
    with _cluster_lock(name):
        folder = StateFolder.of(name)
        record = _existing(folder)
        timer = _Timer(progress)
        _restart(record, folder, tools, timer)
        return _revive(record, record.spec, folder, tools, timer)


def update(
    spec: NodeSpec,
    *,
    owner: str = "",
    stack_id: str = "",
    tools: Tools | None = None,
    progress: Progress = _silent,
) -> ClusterInfo:
    """Give the existing cluster what a running one can take: images and another reservation.

    A stopped cluster is started. Images that the spec no longer lists stay where they are.
    Raises ImmutableChangeError for anything else, NoSuchClusterError when there is no cluster,
    OwnerError when it belongs to another checkout or stack.
    """
    tools = tools or Tools.default()
    with _cluster_lock(spec.name):
        folder = StateFolder.of(spec.name)
        record = _owned(_existing(folder), owner=owner, stack_id=stack_id)
        return _revive(record, spec, folder, tools, _Timer(progress))


def tag_images(name: str, names: Mapping[str, str], *, tools: Tools | None = None) -> None:
    """Give images of a running cluster further names, as those of a registry that nobody reaches.

    `names` is the new reference by the old one. Raises NoSuchClusterError when there is no cluster.
    """
    folder = StateFolder.of(name)
    record = _existing(folder)
    node = boot.Node(boot.node_config(record, folder, tools or Tools.default()))
    node.tag_images(_running(node), names)


def delete(name: str, *, owner: str = "", stack_id: str = "", progress: Progress = _silent) -> None:
    """Remove the cluster with its data: whatever is left of it, running, dead or half-made.

    Deleting one that does not exist does nothing. A caller that gives `owner` or `stack_id`
    deletes its own cluster only; without both it is whoever named the cluster by hand.

    Raises OwnerError, before anything is touched, when it belongs to another checkout or stack,
    and TeardownError when something resists.
    """
    timer = _Timer(progress)
    NodeSpec(name=name)  # nothing is removed by a name that could not have been created
    if not state_root().exists() and not ClusterCgroups.of(name).existing():
        network.disconnect(name)
        return
    with _cluster_lock(name, remove=True):
        folder = StateFolder.of(name)
        if owner or stack_id:
            record = read_record(folder)
            if record is not None:
                _owned(record, owner=owner, stack_id=stack_id)
        with timer("delete"):
            _destroy(folder)
    root = state_root()
    # The last cluster takes the folders along, if they are empty
    for path in (root, root.parent):
        with contextlib.suppress(OSError):
            path.rmdir()


class _Timer:
    """Reports how long each phase took."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextlib.contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._progress(phase, time.monotonic() - started)


def _lock_file(name: str) -> Path:
    return state_root() / f".{name}.lock"


def _unfinished(name: str) -> str:
    if is_locked(_lock_file(name)):
        return "it is being created or deleted by another process"
    return "its creation or deletion was interrupted before it held data"


@contextlib.contextmanager
def _cluster_lock(name: str, *, remove: bool = False) -> Iterator[None]:
    path = _lock_file(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path, wait=_LOCK_WAIT, what=f"cluster {name}", remove=remove):
        yield


def _owned(record: Record, *, owner: str, stack_id: str) -> Record:
    """The record with the caller's names; refuses a caller that it does not belong to."""
    if record.belongs_to(owner=owner, stack_id=stack_id):
        return record.owned_by(owner=owner, stack_id=stack_id)
    name = record.spec.name
    whose = f"the checkout {record.owner or '(unknown)'}"
    if record.owner == owner:
        whose = f"another stack of {whose} (its id is {record.stack_id}, this one's {stack_id})"
    raise OwnerError(
        f"cluster {name} belongs to {whose}: choose another name, or delete it there; "
        f"`python -m mlops_infra.node down {name}` deletes it from here, with its data"
    )


def _existing(folder: StateFolder) -> Record:
    record = read_record(folder)
    if record is None or record.phase is Phase.ALLOCATED:
        raise NoSuchClusterError(
            f"there is no cluster {folder.name} with data on this machine: create it first"
        )
    return record


def _allocate(spec: NodeSpec, folder: StateFolder, *, owner: str, stack_id: str) -> Record:
    """Choose the network and write the first record, so that no other cluster takes the same."""
    root = state_root()
    with locked(root / ".lock", wait=30, what="the clusters' networks", remove=True):
        used = network.host_networks(of_others_than=spec.name)
        chosen = network.choose(spec.network, used, other_networks(folder))
        folder.path.mkdir(mode=0o700)
        record = Record(
            spec=spec, network=chosen, owner=owner, stack_id=stack_id, phase=Phase.ALLOCATED
        )
        record.write(folder)
    return record


def _prepare(record: Record, folder: StateFolder, tools: Tools) -> config.NodeConfig:
    node = boot.node_config(record, folder, tools)
    boot.write_files(node)
    return node


def _finish(
    record: Record, folder: StateFolder, node: boot.Node, pid: int, timer: _Timer
) -> ClusterInfo:
    """What follows kubeadm; doing it again changes nothing."""
    node.give_kube_proxy_credentials(pid)
    with timer("add-ons"):
        node.apply_addons()
    with timer("node ready"):
        node.await_ready(seconds=120)
    record.at(Phase.READY).write(folder)
    return _info(record, folder)


def _revive(
    record: Record, spec: NodeSpec, folder: StateFolder, tools: Tools, timer: _Timer
) -> ClusterInfo:
    """Bring an existing cluster to run as `spec` says."""
    spec = spec.resolved(record.spec.kubernetes_version)
    if changes := immutable_changes(record.spec, spec, network=record.network):
        raise ImmutableChangeError(
            f"cluster {spec.name} would need another {' and another '.join(changes)}, which only "
            "a new cluster can have: delete it and create it again"
        )
    wanted = record.of(spec)
    # Read before anything is done. Names stay when their image changes: the references tell
    archives = images.extra_archives(tools, spec.images)
    if not _recovers(record, folder):
        _restart(record, folder, tools, timer)
    node = boot.Node(_prepare(wanted, folder, tools))
    pid = _running(node)
    held = node.image_references(pid) if archives else frozenset()
    if missing := [entry for entry in archives if entry.reference not in held]:
        with timer("images"):
            node.import_images(pid, missing)
    if node.apply_reservation():
        with timer("reservation"):
            began = time.time()
            node.restart_program("kubelet")
            node.await_ready(seconds=60, since=began)
    if record.phase is not Phase.READY:
        return _finish(wanted, folder, node, pid, timer)
    # Written only now that the node has what it says: an interrupted update is repeated
    wanted.write(folder)
    return _info(wanted, folder)


def _recovers(record: Record, folder: StateFolder) -> bool:
    """Whether the cluster is usable, now or as soon as its own supervision has repaired it."""
    if record.phase is not Phase.READY:
        # Its creation was interrupted late: it can be finished if the API server serves
        runs = ClusterCgroups.of(folder.name).first_process() is not None
        return runs and ApiClient(folder.kubeconfig.read_text()).ready()
    deadline = time.monotonic() + _SELF_REPAIR_SECONDS
    while (status := read(folder.name)).health is Health.BROKEN and time.monotonic() < deadline:
        time.sleep(0.3)
    return status.health is Health.HEALTHY


def _running(node: boot.Node) -> int:
    pid = node.cgroups.first_process()
    if pid is None:
        raise NodeError("the node stopped while it was being changed: run the command again")
    return pid


def _restart(record: Record, folder: StateFolder, tools: Tools, timer: _Timer) -> None:
    with timer("preflight"):
        preflight.check(record.spec, tools, given_network=record.network)
    began = time.time()
    with timer("stop"):
        node = boot.Node(_prepare(record, folder, tools))
        node.stop()
        network.disconnect(record.spec.name)
    with timer("namespaces"):
        pid = node.launch()
        node.await_containerd(pid)
        node.forget_containers(pid)
        node.open_gate(pid)
    with timer("control plane"):
        node.await_ready(seconds=180, since=began)


def _problems(record: Record, folder: StateFolder) -> Iterator[str]:
    cgroups = ClusterCgroups.of(folder.name)
    yield from boot.stopped_programs(cgroups, folder)
    client = ApiClient(folder.kubeconfig.read_text(), timeout=3)
    answer = client.get("/readyz")
    if answer.status == 0:
        yield f"the API server does not answer at {client.url} ({answer.body.decode()})"
    elif not client.ready():
        yield f"the API server is not ready (status {answer.status})"
    elif (problem := client.node_problem(record.spec.name)) is not None:
        yield problem
    if record.phase is not Phase.READY:
        yield "its add-ons have not been applied: its creation was interrupted"


def _info(record: Record, folder: StateFolder) -> ClusterInfo:
    subnets = record.subnets
    return ClusterInfo(
        name=record.spec.name,
        kubernetes_version=record.spec.kubernetes_version,
        kubeconfig=folder.kubeconfig.read_text(),
        api_url=f"https://{subnets.node_address}:{config.API_PORT}",
        node_name=record.spec.name,
        node_address=str(subnets.node_address),
        host_address=str(subnets.host_address),
        network=record.network,
        pod_subnet=str(subnets.pods),
        service_subnet=str(subnets.services),
        storage_class=addons.STORAGE_CLASS,
        kubeconfig_path=str(folder.kubeconfig),
        state_folder=str(folder.path),
    )


def _destroy(folder: StateFolder) -> None:
    """Remove everything of a cluster, from the processes up."""
    cgroups = ClusterCgroups.of(folder.name)
    cgroups.kill()
    network.disconnect(folder.name)
    cgroups.remove()
    if folder.path.exists():
        # Renamed first: a deletion that is interrupted never looks like a cluster
        doomed = folder.path.with_name(f".deleting-{folder.name}-{uuid.uuid4().hex[:8]}")
        folder.path.rename(doomed)
    for doomed in folder.path.parent.glob(f".deleting-{folder.name}-????????"):
        # Stays on this file system: should anything be mounted below, it is not emptied
        run(["rm", "-rf", "--one-file-system", doomed], timeout=300)
