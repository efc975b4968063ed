"""An embedded cluster in the place of EKS: the one place where a rehearsal differs from AWS.

EKS                        here
control plane, nodes       an embedded cluster, whose address the stand-in gives for moto's
`aws eks get-token`        a program `aws` that gives the token of a ServiceAccount
ECR                        the node holds the images under the names of the repositories
EBS driver for volumes     the provisioner of local volumes, under the driver's name
Pod Identity               moto's instance metadata, which gives every Pod credentials
"""

import json
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from mlops_infra.node import cluster
from mlops_infra.node.cgroups import ClusterCgroups
from mlops_infra.node.command import run
from mlops_infra.node.leftovers import leftovers
from mlops_infra.node.spec import NodeSpec
from mlops_stack.rehearsal import sandbox_env
from mlops_stack.rehearsal.errors import RehearsalError
from mlops_toolchain import images, layout

_METADATA = "169.254.169.254"
_ADMINISTRATOR = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: rehearsal, namespace: kube-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: rehearsal}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: rehearsal, namespace: kube-system}]
"""
_OWN_NAMESPACES = frozenset(
    {"default", "kube-node-lease", "kube-public", "kube-system", "local-path-storage"}
)
_PROVISIONER = "local-path-provisioner"


@dataclass(frozen=True, kw_only=True)
class PlayedEks:
    """A cluster that plays EKS's.

    Attributes:
        name: its name on this machine.
        endpoint: URL of its API.
        authority: base64 text of its certificate authority.
        node_address: address of its NodePorts.
        host_address: address at which its Pods reach this machine.
        programs: folder with the program `aws` that gives tokens for it.
        kubeconfig: file of its administrator.
    """

    name: str
    endpoint: str
    authority: str
    node_address: str
    host_address: str
    programs: Path
    kubeconfig: Path

    def serve_metadata(self, moto: str) -> None:
        """Give the Pods moto's instance metadata at its usual address.

        Args:
            moto: URL of the server.
        """
        target = urlsplit(moto).netloc
        pid = ClusterCgroups.of(self.name).first_process()
        table = (
            "table ip rehearsal {\n"
            "  chain metadata {\n"
            "    type nat hook prerouting priority dstnat;\n"
            f"    ip daddr {_METADATA} tcp dport 80 dnat to {target}\n"
            "  }\n"
            "}\n"
        )
        run(["nsenter", "--net", "--target", str(pid), "nft", "-f", "-"], stdin=table)

    def leftovers(self) -> list[str]:
        """Return what is still in the cluster that was not there in the beginning."""
        found = _kubectl(self.kubeconfig, "get", "namespaces,persistentvolumes", "-o", "json")
        return [
            f"{item['kind']} {item['metadata']['name']}"
            for item in json.loads(found)["items"]
            if item["metadata"]["name"] not in _OWN_NAMESPACES
        ]


@contextmanager
def play(folder: Path, registry: str, names: Sequence[str]) -> Iterator[PlayedEks]:
    """Run a cluster until the block ends.

    Args:
        folder: for the program that gives tokens.
        registry: prefix of the images' names in it.
        names: the toolchain's names of the images that it holds.

    Raises:
        NodeError: it does not start.
        RehearsalError: something of it stays on this machine.
    """
    name = f"rehearsal-{secrets.token_hex(2)}"
    try:
        info = cluster.create(
            NodeSpec(name=name, images=tuple(names)), owner=str(layout.checkout())
        )
        references = map(images.reference, names)
        cluster.tag_images(name, {r: f"{registry}/{r.rpartition('/')[2]}" for r in references})
        kubeconfig = Path(info.kubeconfig_path)
        _play_volumes(kubeconfig)
        yield PlayedEks(
            name=name,
            endpoint=info.api_url,
            authority=_authority(info.kubeconfig),
            node_address=info.node_address,
            host_address=info.host_address,
            programs=_token_program(folder / "bin", kubeconfig),
            kubeconfig=kubeconfig,
        )
    finally:
        cluster.delete(name)
    if found := leftovers(name):
        raise RehearsalError(f"left of the cluster: {', '.join(map(str, found))}")


def _authority(kubeconfig: str) -> str:
    document = yaml.safe_load(kubeconfig)
    return str(document["clusters"][0]["cluster"]["certificate-authority-data"])


def _token_program(folder: Path, kubeconfig: Path) -> Path:
    """Make a program `aws` that gives tokens of an administrator."""
    _kubectl(kubeconfig, "apply", "-f", "-", text=_ADMINISTRATOR)
    token = _kubectl(
        kubeconfig, "create", "token", "rehearsal", "--namespace=kube-system", "--duration=4h"
    )
    return sandbox_env.token_program(folder, token.strip())


def _play_volumes(kubeconfig: Path) -> None:
    """Run the provisioner of local volumes once more, under the name of EKS's driver."""
    where = ("--namespace=local-path-storage", "-o", "json")
    found = json.loads(_kubectl(kubeconfig, "get", "deployment", _PROVISIONER, *where))
    labels = {"app": "ebs-csi"}
    spec = found["spec"]
    spec["selector"]["matchLabels"] = spec["template"]["metadata"]["labels"] = labels
    spec["template"]["spec"]["containers"][0]["args"] += ["--provisioner-name=ebs.csi.aws.com"]
    metadata = {"name": "ebs-csi", "namespace": found["metadata"]["namespace"]}
    copy = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    _kubectl(kubeconfig, "apply", "-f", "-", text=json.dumps(copy))


def _kubectl(kubeconfig: Path, *arguments: str, text: str | None = None) -> str:
    done = subprocess.run(
        [layout.bin_dir() / "kubectl", f"--kubeconfig={kubeconfig}", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RehearsalError(f"kubectl {arguments[0]} in the played EKS: {done.stderr.strip()}")
    return done.stdout
