"""Starting a node: its first process, its network, its control plane."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import yaml

from mlops_infra.node import addons, certificates, config, images, network, supervisor
from mlops_infra.node.api import ApiClient
from mlops_infra.node.cgroups import ClusterCgroups
from mlops_infra.node.command import run, tail
from mlops_infra.node.errors import BootError, CommandError
from mlops_infra.node.layout import StateFolder, Tools
from mlops_infra.node.spec import Subnets
from mlops_infra.node.state import Record

T = TypeVar("T")

# From the toolchain, and from the machine (kube-proxy calls nft)
PROGRAMS = ("containerd", "ctr", "runc", "kubeadm", "kubelet", "kube-proxy", "kubectl")
HOST_PROGRAMS = ("ip", "nft", "nsenter", "unshare", "setpriv", "setsid", "mount", "cp", "sh")
SUPERVISED = ("containerd", "kubelet", "kube-proxy")
STOP_SECONDS = 10.0
_NAMESPACES = ("--mount", "--pid", "--net", "--uts", "--ipc")
_KUBEADM_CONFIG = (f"--config={config.NODE_CONFIG}/kubeadm.yaml",)
# kubeadm's own checks look at the host; ours ran before. Nobody joins this cluster, so neither
# its tokens nor its shared certificates are needed; its add-ons are ours
_SKIPPED_PHASES = (
    "preflight",
    "upload-certs",
    "bootstrap-token",
    "mark-control-plane",
    "addon",
    "show-join-command",
)


def node_config(record: Record, folder: StateFolder, tools: Tools) -> config.NodeConfig:
    """Everything that the node's configuration files depend on.

    Raises NodeError or ImageError when a program or an image is missing.
    """
    spec = record.spec
    tools = tools.of_kubernetes(spec.kubernetes_version)
    base = images.base_archives(tools)
    cgroups = ClusterCgroups.of(spec.name)
    return config.NodeConfig(
        spec=spec,
        subnets=record.subnets,
        state=folder,
        images=images.BaseImages.of(base, kubernetes_version=spec.kubernetes_version),
        executables={name: tools.executable(name) for name in PROGRAMS},
        bin_dir=tools.bin_dir,
        cni_dir=tools.cni_dir,
        visible=tools.shown_in_node(),
        cgroup_root=cgroups.root,
        cgroup_leaves=cgroups.leaves(),
    )


# Names of the control plane's processes as the kernel cuts them
STATIC_PODS = ("etcd", "kube-apiserver", "kube-controller", "kube-scheduler")


def missing_programs(cgroups: ClusterCgroups) -> tuple[str, ...]:
    """The programs of the node, supervised and of the control plane, of which no process runs."""
    in_pods = cgroups.pod_programs()
    return (
        *(name for name in SUPERVISED if cgroups.program(name) is None),
        *(name for name in STATIC_PODS if name not in in_pods),
    )


def stopped_programs(cgroups: ClusterCgroups, folder: StateFolder) -> Iterator[str]:
    """Yield what to say of each of the node's supervised programs that does not run."""
    for program in SUPERVISED:
        if cgroups.program(program) is None:
            yield f"{program} does not run; see {folder.log / program}.log"


def inside(pid: int, path: str) -> Path:
    """The host's way to a path of the running node."""
    return Path(f"/proc/{pid}/root{path}")


def outdated_files(pid: int, name: str, subnets: Subnets) -> dict[str, str]:
    """Files below /etc that a running node lacks or has otherwise, with what they should hold."""
    return {
        path: text
        for path, text in config.etc(name, subnets).items()
        if not (file := inside(pid, path)).is_file() or file.read_text() != text
    }


def write_files(node: config.NodeConfig) -> None:
    """Write the configuration of the node's programs into its state folder."""
    state = node.state
    for path in (
        state.log,
        state.volumes,
        state.kubernetes,
        state.kubelet,
        state.etcd,
        state.pod_logs,
        state.node_config,
        state.root,
        state.node_config / "patches",
    ):
        path.mkdir(exist_ok=True)
    state.etcd.chmod(0o700)
    state.kubernetes.chmod(0o700)
    files = {
        "containerd.toml": config.node_containerd(node),
        "kubeadm.yaml": config.kubeadm(node),
        "kube-proxy.yaml": config.kube_proxy(node),
        "supervisor.json": config.supervisor(node),
    }
    files |= {f"patches/{name}": text for name, text in config.static_pod_patches().items()}
    for name, text in files.items():
        file = state.node_config / name
        # kube-proxy ends when its file is written, whether or not with another content.
        if not file.exists() or file.read_text() != text:
            file.write_text(text)


class Node:
    """A node's processes, seen from the host."""

    def __init__(self, node: config.NodeConfig) -> None:
        self._config = node
        self._state = node.state
        self._cgroups = ClusterCgroups.of(node.spec.name)

    @property
    def cgroups(self) -> ClusterCgroups:
        """The cgroups that the node lives in."""
        return self._cgroups

    def launch(self) -> int:
        """Start the first process, connected to the host; returns its process id.

        It is nobody's child and in a session of its own: it survives the caller, and holds none of
        the caller's files.
        """
        self._cgroups.create()
        argv = [sys.executable, "-I", "-S", str(supervisor.__file__), "host"]
        argv.append(str(self._state.node_config / "supervisor.json"))
        with (self._state.log / config.SUPERVISOR_LOG).open("ab") as log:
            # setsid --fork ends at once, so the node never becomes the caller's child
            subprocess.run(
                ["setsid", "--fork", *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=config.environment(self._config),
                check=True,
            )
        pid = self._await(self._cgroups.first_process, "the node's first process", seconds=10)
        network.connect(self._config.spec.name, self._config.subnets, pid)
        # Before the process has entered its own root, a path through it would be the host's
        mine = self._state.node_config / "supervisor.json"
        seen = inside(pid, f"{config.NODE_CONFIG}/supervisor.json")
        self._await(lambda: seen.exists() and seen.samefile(mine), "the node's root", seconds=10)
        return pid

    def enter(self, pid: int) -> list[str]:
        """The beginning of a command that runs inside the node."""
        env = [f"{name}={value}" for name, value in config.environment(self._config).items()]
        return ["nsenter", *_NAMESPACES, "--target", str(pid), "env", "-i", *env]

    def ctr(self, pid: int) -> list[str]:
        """The beginning of a containerd command inside the node."""
        return [
            *self.enter(pid),
            str(self._config.executables["ctr"]),
            f"--address={config.SOCKET}",
        ]

    def await_containerd(self, pid: int) -> None:
        """Wait until containerd answers."""
        socket = inside(pid, config.SOCKET)
        self._await(socket.exists, "containerd", seconds=20)

    def forget_containers(self, pid: int) -> None:
        """Remove the containers of the node's last life from containerd's metadata.

        Their processes are gone; the kubelet would wait minutes for them. Images stay.
        """
        ctr = [*self.ctr(pid), "--namespace", images.NAMESPACE, "containers"]
        if stale := run([*ctr, "list", "--quiet"]).split():
            run([*ctr, "remove", *stale], timeout=120)

    def open_gate(self, pid: int) -> None:
        """Let kubelet and kube-proxy start (see config.READY_GATE)."""
        inside(pid, config.READY_GATE).touch()

    def initialise(self, pid: int) -> None:
        """Run `kubeadm init`. Raises BootError quoting its log."""
        log = self._state.log / "kubeadm.log"
        argv = [
            *self._kubeadm(pid),
            "init",
            *_KUBEADM_CONFIG,
            f"--skip-phases={','.join(_SKIPPED_PHASES)}",
            "--skip-token-print",
        ]
        kubelet_log = self._state.log / "kubelet.log"
        with log.open("wb") as output:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=420,
                check=False,
            )
        if done.returncode:
            raise BootError(
                f"kubeadm init failed with status {done.returncode}; {log} ends:\n{tail(log)}\n"
                f"and {kubelet_log}:\n{tail(kubelet_log, 6)}"
            )

    def give_kube_proxy_credentials(self, pid: int) -> None:
        """Make kube-proxy's own kubeconfig, with the rights of its built-in role."""
        path = self._state.kubernetes / Path(config.KUBE_PROXY_KUBECONFIG).name
        certificates.write_secret(path, self._kubeconfig_of(pid, "system:kube-proxy"))

    def renew_certificates(self, pid: int) -> bool:
        """Make anew everything that the cluster's authorities have signed, but no authority.

        Who runs already takes notice only when it is started again. True if the kubelet, which
        renews its own, was given new ones too.
        """
        run([*self._kubeadm(pid), "certs", "renew", "all", *_KUBEADM_CONFIG])
        self.give_kube_proxy_credentials(pid)
        if not certificates.kubelet_is_due(self._state):
            return False
        name = f"system:node:{self._config.spec.name}"
        kubeconfig = self._kubeconfig_of(pid, name, "--org=system:nodes")
        certificates.give_kubelet(self._state, kubeconfig)
        return True

    def restart_control_plane(self, pid: int) -> None:
        """End who reads its certificates only when it starts; returns when the API serves again.

        The kubelet starts them anew. etcd reads its files for each connection, and an API server
        that has lost it takes half a minute to end.
        """
        ctr = [*self.ctr(pid), "--namespace", images.NAMESPACE]
        argv = [*ctr, "containers", "list", "--quiet"]
        static = run([*argv, 'labels."io.kubernetes.pod.namespace"==kube-system']).split()
        programs = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
        wanted = {
            container
            for name in programs
            for container in run([*argv, f'labels."io.kubernetes.container.name"=={name}']).split()
            if container in static
        }

        def running() -> set[str]:
            rows = [line.split() for line in run([*ctr, "tasks", "list"]).splitlines()[1:]]
            return wanted & {task for task, _pid, status in rows if status == "RUNNING"}

        for task in running():
            run([*ctr, "tasks", "kill", "--signal", "SIGTERM", task])
        self._await(lambda: not running(), "the control plane's end", seconds=90, pause=0.5)
        client = ApiClient(self._state.kubeconfig.read_text())
        self._await(client.ready, "the API server", seconds=180, pause=0.5)

    def renew_files(self, pid: int) -> bool:
        """Give a running node's root the files of /etc that it lacks; True if there were any."""
        changed = outdated_files(pid, self._config.spec.name, self._config.subnets)
        for path, text in changed.items():
            inside(pid, path).write_text(text)
        return bool(changed)

    def _kubeadm(self, pid: int) -> list[str]:
        return [*self.enter(pid), str(self._config.executables["kubeadm"])]

    def _kubeconfig_of(self, pid: int, name: str, *more: str) -> str:
        """A kubeconfig with a certificate for the client called `name`."""
        argv = [*self._kubeadm(pid), "kubeconfig", "user", *_KUBEADM_CONFIG]
        validity = f"--validity-period={certificates.VALIDITY}"
        return run([*argv, f"--client-name={name}", validity, *more])

    def apply_addons(self) -> None:
        """Apply CoreDNS and the volume provisioner; returns as soon as the API accepted them."""
        text = addons.manifests(self._config.images, self._config.subnets, config.VOLUMES)
        kubectl = [
            str(self._config.executables["kubectl"]),
            f"--kubeconfig={self._state.kubeconfig}",
        ]
        argv = [*kubectl, "apply", "--server-side", "--force-conflicts", "--validate=false"]
        env = {**os.environ, "HOME": str(self._state.node_config)}
        self._retry(
            lambda: run([*argv, "--field-manager=mlops-platform", "-f", "-"], stdin=text, env=env)
        )

    def await_ready(self, *, seconds: float, since: float = 0) -> None:
        """Wait until the API server serves, pods are accepted, and the node runs and is Ready.

        After a restart, `since` tells when it began (see ApiClient.node_problem).
        """
        client = ApiClient(self._state.kubeconfig.read_text())
        last = "the API server does not answer"

        def settled() -> bool:
            nonlocal last
            if not client.ready():
                last = "the API server is not ready"
                return False
            if not client.accepts_pods():
                last = "the default service account does not exist yet"
                return False
            problem = client.node_problem(self._config.spec.name, since=since)
            problem = problem or client.service_problem(config.api_service(self._config.subnets))
            # kube-proxy ends while there is no API server, and its supervisor starts it again
            problem = problem or next(stopped_programs(self._cgroups, self._state), None)
            last = problem or last
            return problem is None

        try:
            self._await(settled, "the node", seconds=seconds, pause=0.15)
        except BootError as error:
            raise BootError(f"{error}\nlast seen: {last}") from error

    def import_images(self, pid: int, archives: Sequence[images.Archive]) -> None:
        """Import archives into the running node."""
        for archive in archives:
            images.import_archive(archive, self.ctr(pid))

    def tag_images(self, pid: int, names: Mapping[str, str]) -> None:
        """Give images further names: the new one by the old one."""
        tag = [*self.ctr(pid), "--namespace", images.NAMESPACE, "images", "tag", "--force"]
        for old, new in names.items():
            run([*tag, old, new])

    def image_references(self, pid: int) -> frozenset[str]:
        """References of the images that the node holds."""
        argv = [*self.ctr(pid), "--namespace", images.NAMESPACE, "images", "list", "--quiet"]
        return frozenset(run(argv).split())

    def images_of_containers(self, pid: int) -> frozenset[str]:
        """References of the images that containers were made of, running or not."""
        argv = [*self.ctr(pid), "--namespace", images.NAMESPACE, "containers", "list"]
        rows = [line.split() for line in run(argv).splitlines()[1:]]
        return frozenset(row[1] for row in rows if len(row) > 1)

    def remove_images(self, pid: int, references: Sequence[str]) -> None:
        """Remove images; what only they had in the content store is freed in the background."""
        argv = [*self.ctr(pid), "--namespace", images.NAMESPACE, "images", "remove"]
        run([*argv, *references], timeout=300)

    def apply_reservation(self) -> bool:
        """Write the spec's reservation into the kubelet's configuration; True if it changed."""
        path = self._state.kubelet / "config.yaml"
        settings = yaml.safe_load(path.read_text())
        wanted = config.kubelet(self._config)["systemReserved"]
        if (settings.get("systemReserved") or {}) == wanted:
            return False
        settings["systemReserved"] = wanted
        draft = path.with_suffix(".new")
        draft.write_text(yaml.safe_dump(settings, sort_keys=False))
        draft.rename(path)
        return True

    def program_pid(self, program: str) -> int | None:
        """Host process id of one of the supervised programs."""
        return self._cgroups.program(program)

    def restart_kube_proxy(self) -> None:
        """Let kube-proxy write all of its rules anew; for that moment no Service is reached.

        When it starts, it takes a chain of an endpoint that is there for right, by its name alone
        (`epChainSkipUpdate` of its source). One that its predecessor had emptied, in order to
        delete it a second later, would stay empty for good: so they go first.
        """

        def remove_tables() -> None:
            tables = [f"{family} {network.KUBE_PROXY_TABLE}" for family in ("ip", "ip6")]
            rules = "".join(f"add table {table}\ndelete table {table}\n" for table in tables)
            first = self._cgroups.first_process()
            run(["nsenter", "--net", "--target", str(first), "nft", "-f", "-"], stdin=rules)

        self.restart_program("kube-proxy", meanwhile=remove_tables)

    def restart_program(self, program: str, *, meanwhile: Callable[[], None] | None = None) -> None:
        """End a supervised program and wait until its supervisor has started it again.

        Args:
            program: its name.
            meanwhile: what is done as soon as it has ended.
        """
        old = self.program_pid(program)
        if old is None:
            return
        os.kill(old, signal.SIGTERM)
        if meanwhile:
            self._await(lambda: self.program_pid(program) != old, f"{program}'s end", seconds=30)
            meanwhile()

        def replaced() -> bool:
            new = self.program_pid(program)
            return new is not None and new != old

        self._await(replaced, program, seconds=30)

    def stop(self) -> None:
        """End the node's processes: in order if its first one still listens, else at once."""
        first = self._cgroups.first_process()
        if first is not None:
            os.kill(first, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while self._cgroups.first_process() is not None and time.monotonic() < deadline:
                time.sleep(0.05)
        self._cgroups.kill()
        self._cgroups.remove()

    def _await(
        self, question: Callable[[], T | None], what: str, *, seconds: float, pause: float = 0.02
    ) -> T:
        """Ask until the answer is true, and return it."""
        deadline = time.monotonic() + seconds
        while not (answer := question()):
            if time.monotonic() > deadline:
                log = self._state.log / config.SUPERVISOR_LOG
                raise BootError(
                    f"{what} did not come up within {seconds:.0f} s; {log} ends:\n{tail(log)}\n"
                    f"Logs of the other programs are beside it"
                )
            time.sleep(pause)
        return answer

    def _retry(self, action: Callable[[], object], *, times: int = 5) -> None:
        """Repeat what may fail while the API server settles, a bounded number of times."""
        for attempt in range(times):
            try:
                action()
            except CommandError:
                if attempt == times - 1:
                    raise
                time.sleep(0.5 * (attempt + 1))
            else:
                return
