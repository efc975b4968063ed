"""Where an embedded cluster finds its programs and keeps its files."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

from mlops_infra.node.errors import NodeError

STATE_VARIABLE = "MLOPS_STATE"
DEFAULT_STATE = Path("/var/lib/mlops-platform/clusters")


def state_root() -> Path:
    """The folder with one folder for each embedded cluster of this machine."""
    return Path(os.environ.get(STATE_VARIABLE) or DEFAULT_STATE)


@dataclass(frozen=True, kw_only=True)
class Tools:
    """The programs and images that a node is made of.

    `bin_dir` holds the executables (links are followed), `cni_dir` the CNI plugins, `image_dir`
    the OCI archives `<name>.tar`, `cache` what may be reused between clusters. `visible` are
    further folders that the executables need at run time; the node sees them read-only.
    `kubernetes_root` holds, by version, the programs and images of Kubernetes' other versions than
    the one in `bin_dir` and `image_dir`; those in `kubernetes_dir` come before these.
    """

    bin_dir: Path
    cni_dir: Path
    image_dir: Path
    cache: Path
    visible: tuple[Path, ...] = ()
    kubernetes_root: Path | None = None
    kubernetes_dir: Path | None = None

    @classmethod
    def default(cls) -> "Tools":
        """What the toolchain made for this checkout."""
        # Imported here: the toolchain's layout is only a default, and tests pass their own.
        from mlops_toolchain import layout  # noqa: PLC0415

        view = layout.view()
        return cls(
            bin_dir=layout.bin_dir(),
            cni_dir=view / "cni",
            image_dir=view / "images",
            cache=layout.cache(),
            visible=(view, layout.cache()),
            kubernetes_root=view / "kubernetes",
        )

    def of_kubernetes(self, version: str) -> "Tools":
        """The same, with that version's programs and images where they are kept apart."""
        folder = self.kubernetes_root / version if self.kubernetes_root else None
        return dataclasses.replace(
            self, kubernetes_dir=folder if folder and folder.is_dir() else None
        )

    def executable(self, name: str) -> Path:
        """The executable called `name`.

        Raises NodeError when the toolchain has not made it.
        """
        path = self.bin_dir / name
        if self.kubernetes_dir and os.access(own := self.kubernetes_dir / "bin" / name, os.X_OK):
            return own
        if not os.access(path, os.X_OK):
            raise NodeError(f"{path} is missing: run `make toolchain`")
        return path

    def archive(self, image: str) -> Path:
        """The archive of an image given by its toolchain name or by the archive's path."""
        if "/" in image:
            return Path(image)
        own = self.kubernetes_dir / f"images/{image}.tar" if self.kubernetes_dir else None
        return own if own and own.exists() else self.image_dir / f"{image}.tar"

    def shown_in_node(self) -> tuple[Path, ...]:
        """Every folder that must exist in the node at the host's path, parents before children."""
        folders = {self.bin_dir, self.cni_dir, *self.visible}
        for folder in (self.bin_dir, self.cni_dir):
            folders |= {entry.resolve().parent for entry in folder.iterdir()}
        kept: list[Path] = []
        for folder in sorted(folders):
            covered = any(folder.is_relative_to(parent) for parent in (Path("/usr"), *kept))
            if folder.is_dir() and not covered:
                kept.append(folder)
        return tuple(kept)


@dataclass(frozen=True, kw_only=True)
class StateFolder:
    """The files of one cluster. Everything that survives a restart is below `path`."""

    path: Path

    @classmethod
    def of(cls, name: str) -> "StateFolder":
        """The folder of the cluster called `name`."""
        return cls(path=state_root() / name)

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.path.name

    @property
    def record(self) -> Path:
        """What the cluster is and how far its creation came (`state.json`)."""
        return self.path / "state.json"

    @property
    def log(self) -> Path:
        """Logs of the node's own programs."""
        return self.path / "log"

    @property
    def volumes(self) -> Path:
        """Data of the cluster's persistent volumes."""
        return self.path / "volumes"

    @property
    def containerd(self) -> Path:
        """containerd's content store, snapshots and metadata."""
        return self.path / "containerd"

    @property
    def kubernetes(self) -> Path:
        """The node's /etc/kubernetes: certificates, kubeconfigs, static pods."""
        return self.path / "kubernetes"

    @property
    def kubelet(self) -> Path:
        """The node's /var/lib/kubelet."""
        return self.path / "kubelet"

    @property
    def etcd(self) -> Path:
        """The node's /var/lib/etcd."""
        return self.path / "etcd"

    @property
    def pod_logs(self) -> Path:
        """The node's /var/log/pods."""
        return self.path / "pod-logs"

    @property
    def node_config(self) -> Path:
        """Configuration of the programs that the node's first process supervises."""
        return self.path / "config"

    @property
    def root(self) -> Path:
        """Where the node mounts its root (seen as an empty folder from the host)."""
        return self.path / "root"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig as kubeadm wrote it."""
        return self.kubernetes / "admin.conf"
