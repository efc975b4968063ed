"""Container images of a node: archives, the images a cluster itself needs, and the seed store.

Importing an image costs seconds, so a set of archives is imported once into a *seed*: a complete
containerd root in the cache, with every layer unpacked. A new cluster gets a clone of it, made of
hard links. That is sound because neither containerd nor overlayfs ever writes into a blob or a
committed layer (they are lower layers: a change is copied up, a removal unlinks). The metadata
databases are written in place and therefore copied.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_infra.node.command import run, tail
from mlops_infra.node.errors import CommandError, ImageError
from mlops_infra.node.layout import Tools
from mlops_infra.node.lock import locked

NAMESPACE = "k8s.io"
BASE_ARCHIVES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "etcd",
    "pause",
    "coredns",
    "local-path-provisioner",
    "busybox",
)
ADDON_ARCHIVES = ("coredns", "local-path-provisioner", "busybox")
_REFERENCE = "org.opencontainers.image.ref.name"
# Nothing but this project makes images with such names
PROJECT_PREFIX = "docker.io/local/"
EARLIER_KEPT = 2
_SEED_FORMAT = 1
SEEDS_KEPT = 3
# Ends with the caller: an orphan would go on writing into a folder that is made anew
_COPY = ("setpriv", "--pdeathsig", "KILL", "cp", "--archive")


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An OCI archive on disk: its image's reference, and a digest of its content."""

    path: Path
    reference: str
    digest: str


def read_archive(path: Path) -> Archive:
    """Read what an archive holds from its index, which names everything else by digest.

    Raises ImageError when it is missing, is no OCI archive, or does not name its image.
    """
    try:
        with tarfile.open(path) as tar:
            member = tar.extractfile("index.json")
            index = member.read() if member else b"{}"
    except FileNotFoundError as error:
        raise ImageError(f"image archive {path} is missing: run `make toolchain`") from error
    except (tarfile.TarError, KeyError, OSError) as error:
        raise ImageError(
            f"{path} is not an OCI archive ({error}): remove it and run `make toolchain`"
        ) from error
    manifests = json.loads(index).get("manifests", [])
    names = [entry.get("annotations", {}).get(_REFERENCE) for entry in manifests]
    if len(names) != 1 or not names[0]:
        raise ImageError(
            f"{path} must hold one image and name it by the annotation {_REFERENCE}; "
            f"it names {names}: build it again"
        )
    return Archive(path=path, reference=names[0], digest=hashlib.sha256(index).hexdigest())


@dataclass(frozen=True, kw_only=True)
class BaseImages:
    """References of the images that the cluster itself runs."""

    apiserver: str
    etcd: str
    pause: str
    coredns: str
    provisioner: str
    busybox: str

    @classmethod
    def of(cls, archives: Sequence[Archive], *, kubernetes_version: str) -> "BaseImages":
        """Take the references from the archives, in the order of BASE_ARCHIVES.

        Raises ImageError when the control plane's images are of another Kubernetes version.
        """
        by_name = {
            name: archive.reference for name, archive in zip(BASE_ARCHIVES, archives, strict=True)
        }
        for name in BASE_ARCHIVES[:3]:
            version = by_name[name].rpartition(":")[2]
            if version != f"v{kubernetes_version}":
                raise ImageError(
                    f"the cluster wants {name} v{kubernetes_version} and there is {version}: run "
                    f"`make toolchain KUBERNETES={kubernetes_version}`, which makes it, or names "
                    "the versions that it can make"
                )
        return cls(
            apiserver=by_name["kube-apiserver"],
            etcd=by_name["etcd"],
            pause=by_name["pause"],
            coredns=by_name["coredns"],
            provisioner=by_name["local-path-provisioner"],
            busybox=by_name["busybox"],
        )

    @property
    def repository(self) -> str:
        """What the control plane's references begin with."""
        return self.apiserver.rpartition("/")[0]


def base_archives(tools: Tools) -> tuple[Archive, ...]:
    """The archives of the images that every cluster needs."""
    return tuple(read_archive(tools.archive(name)) for name in BASE_ARCHIVES)


def addon_archives(tools: Tools) -> tuple[Archive, ...]:
    """The archives of the images that the add-ons run."""
    return tuple(read_archive(tools.archive(name)) for name in ADDON_ARCHIVES)


def superfluous(
    held: Iterable[str], *, wanted: Iterable[str], used: Iterable[str], earlier: Sequence[str]
) -> tuple[str, ...]:
    """Which of the project's images in a node can go: what neither its spec nor a container names.

    Of each image the last `EARLIER_KEPT` versions stay: pipeline versions and model servers that
    were made with them may still start. `earlier` are the versions that were replaced, the last
    one first; images of other registries are somebody else's.
    """
    own = {reference for reference in held if reference.startswith(PROJECT_PREFIX)}
    kept = {*wanted, *used}
    for name in {reference.rpartition(":")[0] for reference in own}:
        versions = [reference for reference in earlier if reference.rpartition(":")[0] == name]
        kept.update(versions[:EARLIER_KEPT])
    return tuple(sorted(own - kept))


def extra_archives(tools: Tools, images: Sequence[str]) -> tuple[Archive, ...]:
    """The archives of a spec's extra images."""
    return tuple(read_archive(tools.archive(name)) for name in images)


def seed_key(archives: Sequence[Archive], containerd: Path) -> str:
    """Name of the seed that holds these archives.

    containerd's size stands for its version: another containerd may write another format.
    """
    parts = [str(_SEED_FORMAT), str(containerd.stat().st_size)]
    parts += sorted(f"{archive.reference}@{archive.digest}" for archive in archives)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def seed(archives: Sequence[Archive], tools: Tools) -> Path:
    """The seed store with these archives, built if the cache does not hold it yet.

    Two processes never build at once; an interrupted build leaves only a folder that the next
    build removes.
    """
    ready = _seed_path(archives, tools)
    store = ready.parent
    if ready.is_dir():
        os.utime(ready)
        return ready
    store.mkdir(parents=True, exist_ok=True)
    with locked(store / ".lock", wait=900, what="image store"):
        if ready.is_dir():
            return ready
        for stale in store.glob(".building-*"):
            shutil.rmtree(stale)
        building = Path(tempfile.mkdtemp(prefix=".building-", dir=store))
        wanted = {archive.reference: archive.digest for archive in archives}
        held = _start_from_nearest(store, wanted, building)
        with private_containerd(building, tools) as socket:
            ctr: list[str | Path] = [tools.executable("ctr"), "--address", socket]
            for archive in archives:
                if held.get(archive.reference) != archive.digest:
                    import_archive(archive, ctr)
            if outdated := [reference for reference in held if reference not in wanted]:
                remove = [*ctr, "--namespace", NAMESPACE, "images", "remove", "--sync"]
                run([*remove, *outdated], timeout=120)
        shutil.rmtree(building / "run")
        (building / "archives.json").write_text(json.dumps(wanted, indent=2))
        building.rename(ready)
        _prune(store)
    return ready


def seed_is_ready(archives: Sequence[Archive], tools: Tools) -> bool:
    """Whether the cache holds a seed with exactly these archives."""
    return _seed_path(archives, tools).is_dir()


def _seed_path(archives: Sequence[Archive], tools: Tools) -> Path:
    return tools.cache / "image-store" / seed_key(archives, tools.bin_dir / "containerd")


def _seeds(store: Path) -> list[Path]:
    """The store's seeds, last used first."""
    seeds = [entry for entry in store.iterdir() if (entry / "archives.json").exists()]
    return sorted(seeds, key=lambda entry: entry.stat().st_mtime, reverse=True)


def _start_from_nearest(store: Path, wanted: dict[str, str], building: Path) -> dict[str, str]:
    """Begin a new seed as a clone of the one that shares most with it; returns what that held.

    So a changed image costs its own import, not everybody's.
    """
    held = {entry: json.loads((entry / "archives.json").read_text()) for entry in _seeds(store)}
    if not held:
        return {}
    nearest = max(held, key=lambda entry: len(held[entry].items() & wanted.items()))
    if not held[nearest].items() & wanted.items():
        return {}
    clone(nearest, building / "root")
    return dict(held[nearest])


def _prune(store: Path) -> None:
    """Remove the seeds used longest ago. Clusters made from them keep their own links."""
    for old in _seeds(store)[SEEDS_KEPT:]:
        doomed = old.with_name(f".building-{old.name}")
        old.rename(doomed)
        shutil.rmtree(doomed)


@contextlib.contextmanager
def private_containerd(folder: Path, tools: Tools) -> Iterator[Path]:
    """Run a containerd without Kubernetes on `folder`; yields its socket.

    It has its own mount namespace, so that layers being unpacked are never seen on the host, and
    dies with the calling thread.
    """
    from mlops_infra.node import config  # noqa: PLC0415 (config takes its types from here)

    run_dir = folder / "run"
    run_dir.mkdir()
    # A socket's path may have 107 bytes; the cache may be anywhere
    with tempfile.TemporaryDirectory(prefix="mlops-") as short:
        socket = Path(short) / "containerd.sock"
        settings = run_dir / "containerd.toml"
        settings.write_text(
            config.containerd(
                root=str(folder / "root"), state=str(run_dir), socket=str(socket), cri=None
            )
        )
        log = run_dir / "containerd.log"
        argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]
        argv += [str(tools.executable("containerd")), "--config", str(settings)]
        with log.open("wb") as output:
            process = subprocess.Popen(argv, stdout=output, stderr=output)
        try:
            _await_socket(socket, process, log)
            yield socket
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_socket(socket: Path, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 20
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ImageError(f"containerd did not start to import images:\n{tail(log)}")
        time.sleep(0.02)


def import_archive(archive: Archive, ctr: Sequence[str | Path]) -> None:
    """Import one archive, unpacked, by the given `ctr` command (which may enter a node).

    The archive goes through standard input: a node does not see the host's folders. Its annotation
    names the image; naming it again by `--index-name` makes containerd lose blobs now and then.
    """
    argv = [*map(str, ctr), "--namespace", NAMESPACE, "images", "import"]
    argv += ["--snapshotter", "overlayfs", "-"]
    with archive.path.open("rb") as content:
        done = subprocess.run(
            argv, stdin=content, capture_output=True, text=True, timeout=600, check=False
        )
    if done.returncode:
        raise ImageError(
            f"image {archive.reference} could not be imported from {archive.path}:\n"
            f"{done.stderr.strip()}"
        )


def clone(seed_store: Path, target: Path) -> None:
    """Make `target` a containerd root with the seed's content.

    Hard links where both are on one file system, else copies.
    """
    source = seed_store / "root"
    target.mkdir(parents=True)
    try:
        run([*_COPY, "--link", f"{source}/.", target], timeout=300)
    except CommandError:
        shutil.rmtree(target)
        target.mkdir()
        run([*_COPY, "--reflink=auto", f"{source}/.", target], timeout=600)
        return
    for database in source.rglob("*.db"):
        if "snapshots" in database.relative_to(source).parts:
            continue
        copy = target / database.relative_to(source)
        copy.unlink()
        shutil.copy2(database, copy)
