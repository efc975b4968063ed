"""Configuration files of the node's programs, rendered from the spec.

Pure functions: the same input gives the same text, and nothing is read or written here.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlops_infra.node import certificates
from mlops_infra.node.images import BaseImages
from mlops_infra.node.layout import StateFolder
from mlops_infra.node.spec import NodeSpec, Subnets, parse_cpu, parse_memory

SOCKET = "/run/containerd/containerd.sock"
API_PORT = 6443
VOLUMES = "/var/local/volumes"
# The kubelet must not come before the network and before stale containers are gone (see boot)
READY_GATE = "/run/node-ready"
NODE_LOG = "/var/log/node"
SUPERVISOR_LOG = "supervisor.log"
NODE_CONFIG = "/etc/node"
KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
CNI_PLUGINS = ("ptp", "host-local", "loopback")
_AUTHORITY_VALIDITY = "87600h"
_PLUGIN_DIR = "/var/lib/kubelet/volume-plugins"
KUBE_PROXY_KUBECONFIG = "/etc/kubernetes/kube-proxy.conf"

# What the kubelet demands of these settings of the whole machine; the node sees stand-ins
_KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
# What the C library and Go look names up in: our own text, for a small host lacks these files too.
# Without protocols, `nft -j` prints numbers where kube-proxy expects names: it then takes its own
# map elements for strange ones, and its next full sync deletes every Service.
LOOK_UPS = {
    "/etc/nsswitch.conf": (
        "passwd: files\ngroup: files\nhosts: files\nprotocols: files\nservices: files\n"
    ),
    "/etc/protocols": (
        "ip 0 IP\nicmp 1 ICMP\nigmp 2 IGMP\ntcp 6 TCP\nudp 17 UDP\ndccp 33 DCCP\ngre 47 GRE\n"
        "esp 50 IPSEC-ESP\nah 51 IPSEC-AH\nipv6-icmp 58 IPv6-ICMP\nsctp 132 SCTP\n"
        "udplite 136 UDPLite\n"
    ),
    "/etc/services": "domain 53/tcp\ndomain 53/udp\nhttp 80/tcp www\nhttps 443/tcp\n",
}
_SNAPSHOTTERS_NOT_USED = ("aufs", "btrfs", "devmapper", "native", "zfs")


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """Everything that the files of one node depend on."""

    spec: NodeSpec
    subnets: Subnets
    state: StateFolder
    images: BaseImages
    executables: dict[str, Path]
    bin_dir: Path
    cni_dir: Path
    visible: tuple[Path, ...]
    cgroup_root: str
    cgroup_leaves: tuple[Path, ...]


def api_service(subnets: Subnets) -> str:
    """The API server's address as a Service: whoever reaches it goes through kube-proxy."""
    return f"https://{subnets.services[1]}:443"


def environment(config: NodeConfig) -> dict[str, str]:
    """The environment of the node's programs; nothing of the caller's leaks into it."""
    return {
        "PATH": f"{config.bin_dir}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
    }


def containerd(*, root: str, state: str, socket: str, cri: dict[str, Any] | None) -> str:
    """containerd's configuration (TOML), with the CRI plugin or without."""
    disabled = [f"io.containerd.snapshotter.v1.{name}" for name in _SNAPSHOTTERS_NOT_USED]
    disabled += ["io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
    if cri is None:
        disabled.append("io.containerd.grpc.v1.cri")
    lines = [
        "version = 2",
        f"root = {json.dumps(root)}",
        f"state = {json.dumps(state)}",
        f"disabled_plugins = {json.dumps(disabled)}",
        "[grpc]",
        f"  address = {json.dumps(socket)}",
    ]
    if cri is not None:
        plugin = '[plugins."io.containerd.grpc.v1.cri"'
        lines += [
            f"{plugin}]",
            # The process may lack the right to lower the score below its own (CAP_SYS_RESOURCE)
            "  restrict_oom_score_adj = true",
            f"  sandbox_image = {json.dumps(cri['sandbox_image'])}",
            f"{plugin}.containerd]",
            '  snapshotter = "overlayfs"',
            '  default_runtime_name = "runc"',
            f"{plugin}.containerd.runtimes.runc]",
            '  runtime_type = "io.containerd.runc.v2"',
            f"{plugin}.containerd.runtimes.runc.options]",
            "  SystemdCgroup = false",
            f"  BinaryName = {json.dumps(cri['runc'])}",
            f"{plugin}.cni]",
            f"  bin_dir = {json.dumps(cri['cni_dir'])}",
            '  conf_dir = "/etc/cni/net.d"',
        ]
    return "\n".join(lines) + "\n"


def cni(config: NodeConfig) -> str:
    """The CNI network: one veth pair and one route per pod.

    `ptp` rather than `bridge`: all traffic between pods is routed by the node, so kube-proxy sees
    it without the br_netfilter module, and no host needs bridge support.
    """
    pods = str(config.subnets.pods)
    network = {
        "cniVersion": "1.0.0",
        "name": "mlops",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni",
                    "ranges": [[{"subnet": pods}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
        ],
    }
    return json.dumps(network, indent=2) + "\n"


def kubelet(config: NodeConfig) -> dict[str, Any]:
    """The KubeletConfiguration."""
    reserved = {}
    if memory := parse_memory(config.spec.reserved_memory):
        reserved["memory"] = str(memory)
    if cpu := parse_cpu(config.spec.reserved_cpu):
        reserved["cpu"] = f"{cpu}m"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": config.cgroup_root,
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": ["pods"],
        "systemReserved": reserved,
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "clusterDNS": [str(config.subnets.dns_address)],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "serializeImagePulls": False,
        # Images can't be pulled again: never collect them for want of disk
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "8760h",
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "evictionPressureTransitionPeriod": "30s",
        # Pods are restarted for seconds' sake, not for a fleet's
        "crashLoopBackOff": {"maxContainerRestartPeriod": "20s"},
        "featureGates": {"KubeletCrashLoopBackOffMax": True},
        "containerLogMaxSize": "5Mi",
        "containerLogMaxFiles": 2,
        "rotateCertificates": True,
        "shutdownGracePeriod": "0s",
        "shutdownGracePeriodCriticalPods": "0s",
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}},
        "address": str(config.subnets.node_address),
        "healthzBindAddress": "127.0.0.1",
        "volumePluginDir": _PLUGIN_DIR,
        "syncFrequency": "30s",
        "volumeStatsAggPeriod": "5m",
    }


def kubeadm(config: NodeConfig) -> str:
    """kubeadm's configuration: init, cluster and kubelet in one file of several documents."""
    spec, subnets, images = config.spec, config.subnets, config.images
    init = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "localAPIEndpoint": {
            "advertiseAddress": str(subnets.node_address),
            "bindPort": API_PORT,
        },
        "nodeRegistration": {
            "name": spec.name,
            # Without it every status update asks DNS for the address and waits 10 s
            "kubeletExtraArgs": [{"name": "node-ip", "value": str(subnets.node_address)}],
            "criSocket": f"unix://{SOCKET}",
            "taints": [],
            "imagePullPolicy": "Never",
        },
        "patches": {"directory": f"{NODE_CONFIG}/patches"},
        "timeouts": {"controlPlaneComponentHealthCheck": "4m0s", "kubeletHealthCheck": "1m0s"},
    }
    # One instance of each: electing a leader only costs writes and, after a restart, waiting
    alone = [
        {"name": "leader-elect", "value": "false"},
    ]
    cluster = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "clusterName": spec.name,
        "kubernetesVersion": f"v{spec.kubernetes_version}",
        "imageRepository": images.repository,
        # Certificates of RSA cost seconds of two cores
        "encryptionAlgorithm": "ECDSA-P256",
        "certificateValidityPeriod": certificates.VALIDITY,
        "caCertificateValidityPeriod": _AUTHORITY_VALIDITY,
        "networking": {
            "podSubnet": str(subnets.pods),
            "serviceSubnet": str(subnets.services),
            "dnsDomain": "cluster.local",
        },
        "etcd": {
            "local": {
                "imageRepository": images.etcd.rpartition("/")[0],
                "imageTag": images.etcd.rpartition(":")[2],
                "extraArgs": [
                    {"name": "snapshot-count", "value": "10000"},
                ],
            }
        },
        "apiServer": {
            "extraArgs": [
                {"name": "profiling", "value": "false"},
                {"name": "goaway-chance", "value": "0"},
            ],
        },
        "controllerManager": {
            "extraArgs": [
                *alone,
                {"name": "profiling", "value": "false"},
                # What the kubelet gets when it renews its own
                {"name": "cluster-signing-duration", "value": certificates.VALIDITY},
                # One node has all of the pods' subnet
                {"name": "node-cidr-mask-size", "value": str(subnets.pods.prefixlen)},
                # The default is below /usr, which the node can't write
                {"name": "flex-volume-plugin-dir", "value": _PLUGIN_DIR},
                # It makes an account for each of its controllers before that one starts. At the
                # default of 20 requests a second Deployments wait 5 s for theirs.
                {"name": "kube-api-qps", "value": "200"},
                {"name": "kube-api-burst", "value": "300"},
            ],
        },
        "scheduler": {"extraArgs": [*alone, {"name": "profiling", "value": "false"}]},
    }
    return yaml.safe_dump_all([init, cluster, kubelet(config)], sort_keys=False)


def static_pod_patches() -> dict[str, str]:
    """kubeadm patches of the control plane's pods, by file name.

    kubeadm asks for 650 m of CPU, a third of a machine with two cores, and probes for a remote
    machine's patience: both are cut to what one small node needs.
    """
    requests = {
        "kube-apiserver": ("100m", "256Mi"),
        "kube-controller-manager": ("25m", "64Mi"),
        "kube-scheduler": ("25m", "48Mi"),
        "etcd": ("50m", "64Mi"),
    }
    patches = {}
    for name, (cpu, memory) in requests.items():
        container: dict[str, Any] = {
            "name": name,
            "resources": {"requests": {"cpu": cpu, "memory": memory}},
            "startupProbe": {"initialDelaySeconds": 1, "periodSeconds": 2, "failureThreshold": 60},
            "livenessProbe": {"initialDelaySeconds": 5},
        }
        if name == "kube-apiserver":
            container["readinessProbe"] = {"periodSeconds": 2}
        document = {"spec": {"containers": [container]}}
        patches[f"{name}+strategic.yaml"] = yaml.safe_dump(document, sort_keys=False)
    return patches


def kube_proxy(config: NodeConfig) -> str:
    """The KubeProxyConfiguration."""
    document = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": str(config.subnets.pods),
        "clientConnection": {"kubeconfig": KUBE_PROXY_KUBECONFIG},
        "hostnameOverride": config.spec.name,
        # The connection table belongs to the whole machine: its size stays as it is
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
        "healthzBindAddress": f"{config.subnets.node_address}:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "300s"},
    }
    return yaml.safe_dump(document, sort_keys=False)


ROOT_FOLDERS = {
    "/proc": 0o755,
    "/sys": 0o755,
    "/dev": 0o755,
    "/run": 0o755,
    "/tmp": 0o1777,  # noqa: S108 (the node's own)
}


@dataclass(frozen=True, kw_only=True)
class HostRoot:
    """What a node's root has of the host's: links, and folders that are shown read-only."""

    links: dict[str, str]
    binds: tuple[dict[str, Any], ...]


def host_root(visible: tuple[Path, ...] = ()) -> HostRoot:
    """What every node's root has of this machine's, and the given folders."""
    shared = [Path("/usr"), *visible]
    shared += [Path(path) for path in ("/etc/ssl", "/etc/passwd", "/etc/group", "/etc/ld.so.cache")]
    links = {}
    # Debian of today links these into /usr; an older one has them as folders
    for folder in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"):
        path = Path(folder)
        if path.is_symlink():
            links[folder] = str(path.readlink())
        elif path.is_dir():
            shared.append(path)
    shown = [
        {"source": str(path), "target": str(path), "read_only": True}
        for path in shared
        if path.exists()
    ]
    device = {"source": "/dev", "target": "/dev", "read_only": False}
    return HostRoot(links=links, binds=(device, *shown))


def etc(name: str, subnets: Subnets) -> dict[str, str]:
    """The node's files below /etc that do not depend on its programs.

    Left out on purpose: localtime (the node's programs log in UTC), os-release (found below /usr).
    """
    identity = f"{name} {subnets.network}".encode()
    return {
        "/etc/hosts": f"127.0.0.1 localhost\n{subnets.node_address} {name}\n",
        "/etc/resolv.conf": "",
        # The kubelet reports it; two nodes on one machine are two machines
        "/etc/machine-id": hashlib.md5(identity, usedforsecurity=False).hexdigest() + "\n",
        **LOOK_UPS,
    }


def trial(command: list[str]) -> str:
    """What runs a command in a root like a node's, as preflight does (JSON)."""
    root = host_root()
    document = {
        # A folder that every machine has; what is on it there is hidden for the trial alone
        "root": "/tmp",  # noqa: S108
        "folders": ROOT_FOLDERS,
        "links": root.links,
        "files": LOOK_UPS,
        "binds": root.binds,
        "kernel_settings": {},
        "command": command,
    }
    return json.dumps(document)


def supervisor(config: NodeConfig) -> str:
    """What the node's first process mounts and runs (JSON)."""
    state, subnets = config.state, config.subnets
    env = environment(config)

    def program(name: str, argv: list[str], requires: list[str]) -> dict[str, Any]:
        return {
            "name": name,
            "argv": [str(config.executables[name]), *argv],
            "requires": requires,
            "env": env,
            "log": f"{NODE_LOG}/{name}.log",
        }

    own = {
        str(state.containerd): "/var/lib/containerd",
        str(state.kubernetes): "/etc/kubernetes",
        str(state.kubelet): "/var/lib/kubelet",
        str(state.etcd): "/var/lib/etcd",
        str(state.volumes): VOLUMES,
        str(state.pod_logs): "/var/log/pods",
        str(state.log): NODE_LOG,
    }
    root = host_root(config.visible)
    binds = [*root.binds]
    binds.append({"source": "/sys/fs/cgroup", "target": "/sys/fs/cgroup", "read_only": False})
    binds += [{"source": source, "target": to, "read_only": False} for source, to in own.items()]
    binds.append({"source": str(state.node_config), "target": NODE_CONFIG, "read_only": True})
    document = {
        "hostname": config.spec.name,
        "log": f"{NODE_LOG}/{SUPERVISOR_LOG}",
        "cgroups": [str(path) for path in config.cgroup_leaves],
        "root": str(state.root),
        "folders": {
            **ROOT_FOLDERS,
            "/root": 0o700,
            "/var/tmp": 0o1777,  # noqa: S108
            "/var/log/containers": 0o755,
        },
        "links": {**root.links, "/var/run": "../run"},
        "files": {
            **etc(config.spec.name, subnets),
            "/etc/cni/net.d/10-mlops.conflist": cni(config),
        },
        "binds": binds,
        "kernel_settings": _KERNEL_SETTINGS,
        "programs": [
            program("containerd", ["--config", f"{NODE_CONFIG}/containerd.toml"], []),
            program(
                "kubelet",
                [
                    f"--config={KUBELET_CONFIG}",
                    "--kubeconfig=/etc/kubernetes/kubelet.conf",
                    f"--hostname-override={config.spec.name}",
                    f"--node-ip={subnets.node_address}",
                ],
                [READY_GATE, KUBELET_CONFIG, "/etc/kubernetes/kubelet.conf"],
            ),
            program(
                "kube-proxy",
                [f"--config={NODE_CONFIG}/kube-proxy.yaml"],
                [READY_GATE, KUBE_PROXY_KUBECONFIG],
            ),
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def node_containerd(config: NodeConfig) -> str:
    """The running node's containerd configuration."""
    return containerd(
        root="/var/lib/containerd",
        state="/run/containerd",
        socket=SOCKET,
        cri={
            "sandbox_image": config.images.pause,
            "runc": str(config.executables["runc"]),
            "cni_dir": str(config.cni_dir),
        },
    )
