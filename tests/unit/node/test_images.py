import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from mlops_infra.node.errors import ImageError
from mlops_infra.node.images import (
    BASE_ARCHIVES,
    Archive,
    BaseImages,
    clone,
    read_archive,
    seed_key,
    superfluous,
)


def oci_archive(path: Path, *references: str | None) -> Path:
    manifests = [
        {"digest": f"sha256:{number}"}
        | ({"annotations": {"org.opencontainers.image.ref.name": ref}} if ref else {})
        for number, ref in enumerate(references)
    ]
    index = json.dumps({"manifests": manifests}).encode()
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("index.json")
        member.size = len(index)
        tar.addfile(member, io.BytesIO(index))
    return path


def base(version: str = "v1.34.4") -> list[Archive]:
    references = [
        f"registry.k8s.io/kube-apiserver:{version}",
        "registry.k8s.io/kube-controller-manager:v1.34.4",
        "registry.k8s.io/kube-scheduler:v1.34.4",
        "registry.k8s.io/etcd:3.6.13",
        "registry.k8s.io/pause:3.10.1",
        "registry.k8s.io/coredns/coredns:v1.12.4",
        "docker.io/local/local-path-provisioner:1",
        "docker.io/local/busybox:1",
    ]
    return [
        Archive(path=Path(f"/{name}.tar"), reference=reference, digest=name)
        for name, reference in zip(BASE_ARCHIVES, references, strict=True)
    ]


def test_an_archive_tells_its_image(tmp_path: Path) -> None:
    archive = read_archive(oci_archive(tmp_path / "a.tar", "docker.io/local/a:1"))
    assert archive.reference == "docker.io/local/a:1"


@pytest.mark.parametrize("references", [(), (None,), ("a:1", "b:1")])
def test_an_archive_must_name_one_image(tmp_path: Path, references: tuple[str | None, ...]) -> None:
    with pytest.raises(ImageError, match="must hold one image"):
        read_archive(oci_archive(tmp_path / "a.tar", *references))


def test_a_missing_or_broken_archive_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"a\.tar is missing: run `make toolchain`"):
        read_archive(tmp_path / "a.tar")
    (tmp_path / "b.tar").write_bytes(b"not a tar")
    with pytest.raises(ImageError, match="is not an OCI archive"):
        read_archive(tmp_path / "b.tar")
    with tarfile.open(tmp_path / "c.tar", "w"):
        pass
    with pytest.raises(ImageError, match="is not an OCI archive"):
        read_archive(tmp_path / "c.tar")


def test_base_images_come_from_the_archives() -> None:
    images = BaseImages.of(base(), kubernetes_version="1.34.4")
    assert images.repository == "registry.k8s.io"
    assert images.pause == "registry.k8s.io/pause:3.10.1"
    assert images.busybox == "docker.io/local/busybox:1"


def test_another_version_than_the_toolchains_is_refused() -> None:
    with pytest.raises(
        ImageError, match=r"wants kube-apiserver v1\.33\.0 and there is v1\.34\.4: run `make"
    ):
        BaseImages.of(base(), kubernetes_version="1.33.0")


def test_a_seeds_key_changes_with_content_and_not_with_order(tmp_path: Path) -> None:
    containerd = tmp_path / "containerd"
    containerd.write_bytes(b"program")
    archives = base()
    key = seed_key(archives, containerd)
    assert seed_key(archives[::-1], containerd) == key
    assert seed_key(archives[1:], containerd) != key
    changed = Archive(path=archives[0].path, reference=archives[0].reference, digest="other")
    assert seed_key([changed, *archives[1:]], containerd) != key
    containerd.write_bytes(b"a newer program")
    assert seed_key(archives, containerd) != key


def test_a_clone_shares_layers_and_owns_its_databases(tmp_path: Path) -> None:
    root = tmp_path / "seed/root"
    layer = root / "io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs"
    layer.mkdir(parents=True)
    (layer / "program").write_text("layer")
    (layer / "app.db").write_text("a database inside an image is a file like any other")
    database = root / "io.containerd.metadata.v1.bolt/meta.db"
    database.parent.mkdir()
    database.write_text("seed")
    if os.geteuid() == 0:  # trusted attributes are root's; a node is always made by root
        os.setxattr(layer, "trusted.overlay.opaque", b"y")
    target = tmp_path / "clone"

    clone(tmp_path / "seed", target)

    relative = layer.relative_to(root)
    for name in ("program", "app.db"):
        assert (target / relative / name).samefile(layer / name)
    if os.geteuid() == 0:
        assert os.getxattr(target / relative, "trusted.overlay.opaque") == b"y"
    copy = target / database.relative_to(root)
    assert not copy.samefile(database)
    copy.write_text("clone")
    assert database.read_text() == "seed"


def test_old_versions_of_images_go_but_the_last_two_and_what_runs() -> None:
    held = [f"docker.io/local/flights:{version}" for version in range(1, 8)]
    held += ["docker.io/local/mlflow:1", "registry.k8s.io/pause:3", "docker.io/users/flights:1"]
    gone = superfluous(
        held,
        wanted=["docker.io/local/flights:7", "docker.io/local/mlflow:2"],
        used=["docker.io/local/flights:2", "registry.k8s.io/pause:3"],
        earlier=[
            "docker.io/local/flights:6",
            "docker.io/local/mlflow:1",
            "docker.io/local/flights:5",
            "docker.io/local/flights:4",
        ],
    )
    assert gone == tuple(f"docker.io/local/flights:{version}" for version in (1, 3, 4))
