import dataclasses
import json
import string
import tomllib
from pathlib import Path

import pytest
import yaml

from mlops_infra.node import addons, boot, config
from mlops_infra.node.images import BaseImages
from mlops_infra.node.layout import StateFolder, Tools
from mlops_infra.node.spec import NodeSpec, Subnets
from mlops_toolchain import kubernetes

IMAGES = BaseImages(
    apiserver="registry.k8s.io/kube-apiserver:v1.34.4",
    etcd="registry.k8s.io/etcd:3.6.13",
    pause="registry.k8s.io/pause:3.10.1",
    coredns="registry.k8s.io/coredns/coredns:v1.12.4",
    provisioner="docker.io/local/local-path-provisioner:1",
    busybox="docker.io/local/busybox:1",
)


@pytest.fixture
def node(tmp_path: Path) -> config.NodeConfig:
    return config.NodeConfig(
        spec=NodeSpec(name="dev", reserved_memory="1Gi", reserved_cpu="0.5"),
        subnets=Subnets.of("10.210.0.0/16"),
        state=StateFolder(path=tmp_path),
        images=IMAGES,
        executables={name: Path("/tools/bin") / name for name in boot.PROGRAMS},
        bin_dir=Path("/tools/bin"),
        cni_dir=Path("/tools/cni"),
        visible=(tmp_path / "visible",),
        cgroup_root="/mlops-dev",
        cgroup_leaves=(Path("/sys/fs/cgroup/memory/mlops-dev/node"),),
    )


def test_kubeadm_gets_addresses_images_and_one_kubelet(node: config.NodeConfig) -> None:
    init, cluster, kubelet = yaml.safe_load_all(config.kubeadm(node))
    assert init["localAPIEndpoint"]["advertiseAddress"] == "10.210.255.254"
    assert cluster["kubernetesVersion"] == f"v{kubernetes.DEFAULT}"
    assert cluster["networking"]["podSubnet"] == "10.210.0.0/17"
    assert cluster["networking"]["serviceSubnet"] == "10.210.128.0/18"
    etcd = cluster["etcd"]["local"]
    assert (etcd["imageRepository"], etcd["imageTag"]) == ("registry.k8s.io", "3.6.13")
    assert kubelet["cgroupRoot"] == "/mlops-dev"
    assert kubelet["systemReserved"] == {"memory": str(2**30), "cpu": "500m"}


def test_certificates_live_a_year_and_their_authorities_ten(node: config.NodeConfig) -> None:
    _, cluster, kubelet = yaml.safe_load_all(config.kubeadm(node))
    assert cluster["certificateValidityPeriod"] == "8760h"
    assert cluster["caCertificateValidityPeriod"] == "87600h"
    signing = {"name": "cluster-signing-duration", "value": "8760h"}
    assert signing in cluster["controllerManager"]["extraArgs"]
    assert kubelet["rotateCertificates"] is True
    # What the kubelet asks for must be granted by somebody
    (binding,) = [
        document
        for document in yaml.safe_load_all(addons.manifests(IMAGES, node.subnets, "/v"))
        if document["metadata"]["name"] == "kubeadm:node-autoapprove-certificate-rotation"
    ]
    assert binding["roleRef"]["name"].endswith("certificatesigningrequests:selfnodeclient")
    assert binding["subjects"][0]["name"] == "system:nodes"


def test_the_api_server_may_use_the_kubelet_for_logs_and_commands(node: config.NodeConfig) -> None:
    # The user is the common name of the certificate that kubeadm gives the API server.
    (binding,) = [
        document
        for document in yaml.safe_load_all(addons.manifests(IMAGES, node.subnets, "/v"))
        if document["metadata"]["name"] == "kubeadm:apiserver-kubelet-client"
    ]
    assert (binding["kind"], binding["roleRef"]["name"]) == (
        "ClusterRoleBinding",
        "system:kubelet-api-admin",
    )
    (subject,) = binding["subjects"]
    assert (subject["kind"], subject["name"]) == ("User", "kube-apiserver-kubelet-client")


def test_the_node_has_its_own_files_to_look_names_up_in(node: config.NodeConfig) -> None:
    files = json.loads(config.supervisor(node))["files"]
    protocols = dict(line.split()[:2] for line in files["/etc/protocols"].splitlines())
    # What kube-proxy writes into its maps, and what nft prints beside it
    assert (protocols["tcp"], protocols["udp"], protocols["sctp"]) == ("6", "17", "132")
    assert "protocols: files" in files["/etc/nsswitch.conf"]
    assert "https 443/tcp" in files["/etc/services"]
    assert len(files["/etc/machine-id"]) == 33
    other = config.etc("test", node.subnets)
    assert other["/etc/machine-id"] != files["/etc/machine-id"]
    assert not [bind for bind in config.host_root().binds if bind["target"] in files]


def test_add_ons_are_applied_again_when_they_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = addons.revision()
    assert before == addons.revision()
    monkeypatch.setattr(addons, "_MANIFESTS", addons._MANIFESTS[:-1])
    assert addons.revision() != before


def test_images_are_never_collected_or_pulled(node: config.NodeConfig) -> None:
    assert config.kubelet(node)["imageGCHighThresholdPercent"] == 100
    init = next(iter(yaml.safe_load_all(config.kubeadm(node))))
    assert init["nodeRegistration"]["imagePullPolicy"] == "Never"
    for text in (addons.manifests(IMAGES, node.subnets, config.VOLUMES),):
        assert "IfNotPresent" not in text
        assert "Always" not in text


def test_no_reservation_reserves_nothing(node: config.NodeConfig) -> None:
    plain = dataclasses.replace(node, spec=NodeSpec(name="dev"))
    assert config.kubelet(plain)["systemReserved"] == {}


def test_containerd_has_its_own_root_and_the_clusters_sandbox(node: config.NodeConfig) -> None:
    settings = tomllib.loads(config.node_containerd(node))
    cri = settings["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == IMAGES.pause
    assert cri["restrict_oom_score_adj"] is True
    assert cri["containerd"]["runtimes"]["runc"]["options"]["BinaryName"] == "/tools/bin/runc"
    assert cri["cni"]["bin_dir"] == "/tools/cni"
    seed = tomllib.loads(config.containerd(root="/r", state="/s", socket="/k", cri=None))
    assert "io.containerd.grpc.v1.cri" in seed["disabled_plugins"]


def test_the_pods_network_is_the_clusters(node: config.NodeConfig) -> None:
    (plugin,) = json.loads(config.cni(node))["plugins"]
    assert plugin["type"] in config.CNI_PLUGINS
    assert plugin["ipam"]["ranges"] == [[{"subnet": "10.210.0.0/17"}]]


def test_the_node_writes_only_below_its_state(node: config.NodeConfig, tmp_path: Path) -> None:
    node.visible[0].mkdir()
    document = json.loads(config.supervisor(node))
    writable = [entry["source"] for entry in document["binds"] if not entry["read_only"]]
    below = [source for source in writable if Path(source).is_relative_to(tmp_path)]
    assert set(writable) - set(below) == {"/dev", "/sys/fs/cgroup"}
    shown = {entry["source"]: entry["read_only"] for entry in document["binds"]}
    assert shown[str(node.visible[0])] is True
    assert shown["/usr"] is True
    assert {program["name"] for program in document["programs"]} == {
        "containerd",
        "kubelet",
        "kube-proxy",
    }


def test_the_callers_environment_stays_outside(
    node: config.NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "caller's")
    assert "caller's" not in config.supervisor(node)
    assert set(config.environment(node)) == {"PATH", "HOME", "LANG"}


def test_every_placeholder_of_the_manifests_is_filled(node: config.NodeConfig) -> None:
    text = addons.manifests(IMAGES, node.subnets, config.VOLUMES)
    # The provisioner's scripts keep one shell variable, and nothing else is left to fill
    names = {match["named"] for match in string.Template.pattern.finditer(text) if match["named"]}
    assert names == {"VOL_DIR"}
    documents = list(yaml.safe_load_all(text))
    images = {
        container["image"]
        for document in documents
        if document["kind"] == "Deployment"
        for container in document["spec"]["template"]["spec"]["containers"]
    }
    assert images == {IMAGES.coredns, IMAGES.provisioner}
    service = next(document for document in documents if document["kind"] == "Service")
    assert service["spec"]["clusterIP"] == "10.210.128.10"
    (storage,) = [document for document in documents if document["kind"] == "StorageClass"]
    assert storage["metadata"]["name"] == addons.STORAGE_CLASS
    assert storage["volumeBindingMode"] == "WaitForFirstConsumer"


def test_patches_fit_a_machine_with_two_cores() -> None:
    requests = [
        yaml.safe_load(text)["spec"]["containers"][0]["resources"]["requests"]["cpu"]
        for text in config.static_pod_patches().values()
    ]
    assert sum(int(request.removesuffix("m")) for request in requests) <= 250


def test_the_node_sees_the_folders_of_its_tools_once(tmp_path: Path) -> None:
    view, cache = tmp_path / "view", tmp_path / "cache/containerd/bin"
    (view / "bin").mkdir(parents=True)
    (view / "cni").mkdir()
    cache.mkdir(parents=True)
    (cache / "containerd").touch()
    (view / "bin/containerd").symlink_to(cache / "containerd")
    (view / "cni/host-local").symlink_to("/usr/lib/cni/host-local")
    tools = Tools(
        bin_dir=view / "bin",
        cni_dir=view / "cni",
        image_dir=view / "images",
        cache=tmp_path / "cache",
        visible=(view, tmp_path / "not-there"),
    )
    assert tools.shown_in_node() == (cache, view)


def test_files_that_stay_the_same_are_not_written_again(node: config.NodeConfig) -> None:
    boot.write_files(node)
    folder = node.state.node_config
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    assert folder / "kube-proxy.yaml" in before
    changed = dataclasses.replace(node, spec=dataclasses.replace(node.spec, reserved_memory="2Gi"))
    boot.write_files(changed)
    written = {file.name for file, time in before.items() if file.stat().st_mtime_ns != time}
    # kube-proxy ends when its file is written: an update of something else must leave it alone.
    assert written == {"kubeadm.yaml"}
