"""Create, read, restart, change and delete embedded clusters."""

import contextlib
import dataclasses
import datetime
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mlops_infra.node import addons, boot, certificates, config, images, network, preflight
from mlops_infra.node.api import ApiClient
from mlops_infra.node.cgroups import ClusterCgroups
from mlops_infra.node.command import run
from mlops_infra.node.errors import (
    ImmutableChangeError,
    NodeError,
    NoSuchClusterError,
    OwnerError,
    RecordError,
)
from mlops_infra.node.layout import DEFAULT_STATE, STATE_VARIABLE, StateFolder, Tools, state_root
from mlops_infra.node.lock import is_locked, locked
from mlops_infra.node.spec import NodeSpec, immutable_changes
from mlops_infra.node.state import (
    Phase,
    Record,
    has_data,
    other_networks,
    read_record,
    salvage,
    ways_out,
)

Progress = Callable[[str, float], None]
"""Called after each phase with its name and the seconds it took."""

_LOCK_WAIT = 120.0
# A program that is gone for so long is not coming back by its supervision; one that is there may
# only be slow, and a restart would end every run in the cluster
_MISSING_SECONDS = 20.0
_PATIENCE_SECONDS = 120.0
_SERVICE_SECONDS = 5.0


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
    certificates_end: datetime.datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ClusterStatus:
    """How a cluster is; `reasons` say why it is not healthy.

    `spec` and `info` are there as soon as the cluster has been created so far. `owner` and
    `stack_id` say whose it is (see Record); empty where nobody has said it. `outdated` says what
    the next `create` or `update` brings up to date in a cluster that is well.
    """

    name: str
    health: Health
    reasons: tuple[str, ...] = ()
    owner: str = ""
    stack_id: str = ""
    outdated: tuple[str, ...] = ()
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

    Raises OwnerError, RecordError and PreflightError before anything is touched,
    ImmutableChangeError when the existing cluster would have to be replaced, and BootError when the
    node does not come up.
    """
    tools = tools or Tools.default()
    timer = _Timer(progress)
    with _cluster_lock(spec.name):
        folder = StateFolder.of(spec.name)
        _refuse_elsewhere(folder)
        record = read_record(folder)
        if record is not None:
            record = _owned(record, owner=owner, stack_id=stack_id)
            if record.phase is not Phase.ALLOCATED:
                return _revive(record, spec, folder, tools, timer)
        else:
            _refuse_unrecorded(folder)
        spec = spec.resolved()
        tools = tools.of_kubernetes(spec.kubernetes_version)
        with timer("preflight"):
            preflight.check(spec, tools)
        with timer("clean"):
            _destroy(folder)
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
    try:
        record = read_record(folder)
    except RecordError as error:
        return ClusterStatus(name=name, health=Health.BROKEN, reasons=(str(error),))
    health, reasons = _health(record, folder)
    status = ClusterStatus(name=name, health=health, reasons=reasons)
    if record is None:
        return status
    status = dataclasses.replace(
        status, owner=record.owner, stack_id=record.stack_id, spec=record.spec
    )
    if record.phase is Phase.ALLOCATED or not folder.kubeconfig.exists():
        return status
    outdated = tuple(_outdated(record, folder)) if health is Health.HEALTHY else ()
    return dataclasses.replace(status, outdated=outdated, info=_info(record, folder))


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
        f"cluster {spec.name} has Kubernetes {held}, and {named.kubernetes_version} is asked for, "
        "which only a new cluster can have: leave kubernetesVersion at auto, or carry the data "
        f"into a new one by `make upgrade STACK={spec.name}`; into an older one by "
        f"`make down STACK={spec.name} KEEP=all` and `make up STACK={spec.name} RESTORE=folder` "
        "(docs/upgrading.md)"
    )


def restart(name: str, *, tools: Tools | None = None, progress: Progress = _silent) -> ClusterInfo:
    """Stop what still runs of the cluster and start it again with its data.

    Raises NoSuchClusterError when there is no cluster of that name with data to keep.
    """
    tools = tools or Tools.default()
    with _cluster_lock(name):
        folder = StateFolder.of(name)
        _refuse_elsewhere(folder)
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

    A stopped cluster is started. Of images that the spec no longer lists, the last versions and
    what containers were made of stay.
    Raises ImmutableChangeError for anything else, NoSuchClusterError when there is no cluster,
    OwnerError when it belongs to another checkout or stack.
    """
    tools = tools or Tools.default()
    with _cluster_lock(spec.name):
        folder = StateFolder.of(spec.name)
        _refuse_elsewhere(folder)
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

    Raises, before anything is touched, OwnerError when it belongs to another checkout or stack or
    runs from another state folder, and RecordError when nothing tells whose its data is;
    TeardownError when something resists.
    """
    timer = _Timer(progress)
    NodeSpec(name=name)  # nothing is removed by a name that could not have been created
    if not state_root().exists() and not ClusterCgroups.of(name).existing():
        network.disconnect(name)
        return
    with _cluster_lock(name, remove=True):
        folder = StateFolder.of(name)
        _refuse_elsewhere(folder)
        if owner or stack_id:
            record = read_record(folder)
            if record is None:
                _refuse_unrecorded(folder)
            else:
                _owned(record, owner=owner, stack_id=stack_id)
        with timer("delete"):
            _destroy(folder)
    # The last cluster takes the folders along, if they are empty and nobody else named them
    if state_root() == DEFAULT_STATE:
        for path in (DEFAULT_STATE, DEFAULT_STATE.parent):
            with contextlib.suppress(OSError):
                path.rmdir()


def adopt(name: str, *, owner: str, stack_id: str = "") -> Record:
    """Take the cluster over, with its data: from another owner, or when its record is lost.

    Nothing in it changes; the next `create` with the same owner goes on with it.

    Raises NoSuchClusterError when there is none with data, RecordError when nothing tells any more
    what it was.
    """
    with _cluster_lock(name):
        folder = StateFolder.of(name)
        _refuse_elsewhere(folder)
        try:
            record = read_record(folder)
        except RecordError:
            record = None
        if record is None and has_data(folder):
            record = salvage(folder)
        if record is None or record.phase is Phase.ALLOCATED:
            raise _no_such_cluster(name)
        taken = dataclasses.replace(record, owner=owner, stack_id=stack_id)
        taken.write(folder)
        return taken


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


def _elsewhere(folder: StateFolder) -> str | None:
    """What to say when the running cluster of this name is another state folder's, or None.

    Processes and cgroups go by the cluster's name alone.
    """
    running = ClusterCgroups.of(folder.name).folder()
    if running is None or running.resolve() == folder.path.resolve():
        return None
    return (
        f"a cluster {folder.name} runs from {running}, and this command looks into "
        f"{folder.path.parent}: set {STATE_VARIABLE}={running.parent}, or choose another name"
    )


def _refuse_elsewhere(folder: StateFolder) -> None:
    if (elsewhere := _elsewhere(folder)) is not None:
        raise OwnerError(elsewhere)


def _unrecorded(folder: StateFolder) -> str | None:
    """What to say of a folder that holds data but no record of whose it is, or None."""
    if not has_data(folder):
        return None
    return (
        f"{folder.path} holds a cluster's data, but {folder.record.name}, which tells what it is "
        f"and whose, is gone: {ways_out(folder.name)}"
    )


def _refuse_unrecorded(folder: StateFolder) -> None:
    if (unrecorded := _unrecorded(folder)) is not None:
        raise RecordError(unrecorded)


def _existing(folder: StateFolder) -> Record:
    record = read_record(folder)
    if record is None or record.phase is Phase.ALLOCATED:
        _refuse_unrecorded(folder)
        raise _no_such_cluster(folder.name)
    return record


def _no_such_cluster(name: str) -> NoSuchClusterError:
    return NoSuchClusterError(
        f"there is no cluster {name} with data on this machine: create it first"
    )


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
    dataclasses.replace(record, phase=Phase.READY, addons=addons.revision()).write(folder)
    return _info(record, folder)


def _revive(
    record: Record, spec: NodeSpec, folder: StateFolder, tools: Tools, timer: _Timer
) -> ClusterInfo:
    """Bring an existing cluster to run as `spec` says."""
    spec = spec.resolved(record.spec.kubernetes_version)
    tools = tools.of_kubernetes(spec.kubernetes_version)
    if changes := immutable_changes(record.spec, spec, network=record.network):
        raise ImmutableChangeError(
            f"cluster {spec.name} would need another {' and another '.join(changes)}, which only "
            "a new cluster can have: delete it and create it again"
        )
    if not folder.kubeconfig.exists():
        raise RecordError(_no_way_in(folder))
    wanted = record.of(spec)
    # Read before anything is done. Names stay when their image changes: the references tell
    archives = images.extra_archives(tools, spec.images)
    node = boot.Node(_prepare(wanted, folder, tools))
    if node.cgroups.first_process() is None:
        _restart(record, folder, tools, timer)
    else:
        _renew(record, folder, node, timer)
        if not _recovers(record, folder, node):
            _restart(record, folder, tools, timer)
    pid = _running(node)
    if record.addons != addons.revision():
        archives = (*images.addon_archives(tools), *archives)
    held = node.image_references(pid)
    if missing := [entry for entry in archives if entry.reference not in held]:
        with timer("images"):
            node.import_images(pid, missing)
    current = frozenset(a.reference for a in (*images.base_archives(tools), *archives))
    wanted = _remove_images(wanted, node, pid, held=held, current=current)
    if node.apply_reservation():
        with timer("reservation"):
            began = time.time()
            node.restart_program("kubelet")
            node.await_ready(seconds=60, since=began)
    if record.phase is not Phase.READY or record.addons != addons.revision():
        return _finish(wanted, folder, node, pid, timer)
    # Written only now that the node has what it says: an interrupted update is repeated
    wanted.write(folder)
    return _info(wanted, folder)


def _remove_images(
    record: Record, node: boot.Node, pid: int, *, held: frozenset[str], current: frozenset[str]
) -> Record:
    """Remove old versions of images from the node; the record notes what was replaced now.

    `held` are the references that the node had, `current` those that it is to have.
    """
    replaced = sorted(
        reference
        for reference in held - current - {*record.earlier_images}
        if reference.startswith(images.PROJECT_PREFIX)
    )
    earlier = tuple(entry for entry in (*replaced, *record.earlier_images) if entry not in current)
    used = node.images_of_containers(pid)
    gone = images.superfluous(held, wanted=current, used=used, earlier=earlier)
    if gone:
        node.remove_images(pid, gone)
    kept = tuple(entry for entry in earlier if entry in held and entry not in gone)
    return dataclasses.replace(record, earlier_images=kept)


def _renew(record: Record, folder: StateFolder, node: boot.Node, timer: _Timer) -> None:
    """Bring up to date, in a running node, what it was started with."""
    pid = _running(node)
    if node.renew_files(pid):
        # It reads them when it starts, and compares what is there with what it wants
        with timer("node's files"):
            node.restart_kube_proxy()
    if certificates.renewal_is_due(folder):
        with timer("certificates"):
            kubelet = node.renew_certificates(pid)
            node.restart_control_plane(pid)
            began = time.time()
            # Not before the API serves: a kubelet that starts without it waits ever longer
            if kubelet:
                node.restart_program("kubelet")
            node.restart_kube_proxy()
            node.await_ready(seconds=180, since=began if kubelet else 0)


def _recovers(record: Record, folder: StateFolder, node: boot.Node) -> bool:
    """Whether the cluster is usable, now or as soon as its own supervision has repaired it."""
    if record.phase is not Phase.READY:
        # Its creation was interrupted late: it can be finished if the API server serves
        return ApiClient(folder.kubeconfig.read_text()).ready()
    began = there = time.monotonic()
    synchronised = False
    while (status := read(folder.name)).health is Health.BROKEN:
        now = time.monotonic()
        if not boot.missing_programs(node.cgroups):
            there = now
        if now - there > _MISSING_SECONDS or now - began > _PATIENCE_SECONDS:
            return False
        if not synchronised and now - began > _SERVICE_SECONDS and _only_services(record, folder):
            # It compares all rules with what it wants only when it starts, and then once an hour
            node.restart_kube_proxy()
            synchronised = True
        time.sleep(0.3)
    return status.health is Health.HEALTHY


def _only_services(record: Record, folder: StateFolder) -> bool:
    """Whether the API server is well, but is not reached as a Service."""
    client = ApiClient(folder.kubeconfig.read_text(), timeout=3)
    service = config.api_service(record.subnets)
    return client.ready() and client.service_problem(service) is not None


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
        if certificates.renewal_is_due(folder):
            node.renew_certificates(pid)
        node.open_gate(pid)
    with timer("control plane"):
        node.await_ready(seconds=180, since=began)


def _health(record: Record | None, folder: StateFolder) -> tuple[Health, tuple[str, ...]]:
    """How the cluster is, and why it is not healthy."""
    cgroups = ClusterCgroups.of(folder.name)
    if (elsewhere := _elsewhere(folder)) is not None:
        return Health.BROKEN, (elsewhere,)
    if record is None or record.phase is Phase.ALLOCATED:
        if record is None and not folder.path.exists() and not cgroups.existing():
            return Health.ABSENT, ()
        unrecorded = _unrecorded(folder) if record is None else None
        return Health.BROKEN, (unrecorded or _unfinished(folder.name),)
    if not folder.kubeconfig.exists():
        return Health.BROKEN, (_no_way_in(folder),)
    if cgroups.first_process() is None:
        why = "none of its processes runs (the machine restarted, or they were killed)"
        return Health.STOPPED, (why,)
    reasons = tuple(_problems(record, folder))
    return (Health.BROKEN if reasons else Health.HEALTHY), reasons


def _no_way_in(folder: StateFolder) -> str:
    return (
        f"{folder.kubeconfig} is gone, and with it the way into the cluster: put it back from a "
        f"copy, or delete the cluster with `python -m mlops_infra.node down {folder.name}`"
    )


def _problems(record: Record, folder: StateFolder) -> Iterator[str]:
    cgroups = ClusterCgroups.of(folder.name)
    if (end := certificates.first_end(folder)) and end < datetime.datetime.now(datetime.UTC):
        yield f"its certificates ended at {end:%Y-%m-%d %H:%M} UTC: the next start renews them"
    yield from boot.stopped_programs(cgroups, folder)
    client = ApiClient(folder.kubeconfig.read_text(), timeout=3)
    answer = client.get("/readyz")
    if answer.status == 0:
        yield f"the API server does not answer at {client.url} ({answer.body.decode()})"
    elif not client.ready():
        yield f"the API server is not ready (status {answer.status})"
    elif (problem := client.node_problem(record.spec.name)) is not None or (
        problem := client.service_problem(config.api_service(record.subnets))
    ) is not None:
        yield problem
    if record.phase is not Phase.READY:
        yield "its add-ons have not been applied: its creation was interrupted"


def _outdated(record: Record, folder: StateFolder) -> Iterator[str]:
    """Yield what of a cluster that is well is older than this version of the project."""
    pid = ClusterCgroups.of(folder.name).first_process()
    if pid is not None and boot.outdated_files(pid, record.spec.name, record.subnets):
        yield "files of the node"
    if record.addons != addons.revision():
        yield "add-ons"
    if certificates.renewal_is_due(folder):
        yield f"certificates, the first of which ends at {certificates.first_end(folder)}"


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
        certificates_end=certificates.first_end(folder),
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
