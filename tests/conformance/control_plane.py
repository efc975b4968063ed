"""A Kubernetes control plane without nodes, on loopback, for the time of a test session.

It is etcd, the API server and the controller manager as plain processes with certificates of their
own. There is no scheduler and no kubelet: a test that needs a ready pod either plays the kubelet
(`kubelet.py`) or carries the marker `cluster` and runs on a cluster with nodes.
"""

import base64
import datetime as dt
import ipaddress
import secrets
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from mlops_stack.rehearsal.ports import free_port
from tests.conformance.tools import find

BINARIES = ("etcd", "kube-apiserver", "kube-controller-manager")
_STARTUP_SECONDS = 60


class ControlPlaneError(Exception):
    """The control plane did not start; the message ends with the process's last log lines."""


def find_binaries() -> dict[str, Path]:
    """Return the paths of the control plane's executables, wherever `tools.find` sees them.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    found = {name: find(name) for name in BINARIES}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise FileNotFoundError(
            f"{', '.join(missing)} not found; run `make toolchain` or set CONFORMANCE_BIN to the "
            "folder that holds them"
        )
    return {name: path for name, path in found.items() if path}


@dataclass(kw_only=True)
class ControlPlane:
    """A running control plane.

    Attributes:
        folder: certificates, logs and data; belongs to the caller.
        server: the API server's URL.
        kubeconfig: path of an administrator's kubeconfig.
    """

    folder: Path
    server: str
    kubeconfig: Path
    etcd_port: int = 0
    binaries: dict[str, Path] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def stop(self, name: str) -> None:
        """End one of the processes and wait for it."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def start_etcd(self) -> None:
        """Start etcd on a data folder that need not survive a crash."""
        client, peer = (f"http://127.0.0.1:{p}" for p in (self.etcd_port, free_port()))
        self._start(
            "etcd",
            "--data-dir",
            str(self.folder / "etcd"),
            "--listen-client-urls",
            client,
            "--advertise-client-urls",
            client,
            "--listen-peer-urls",
            peer,
            "--initial-advertise-peer-urls",
            peer,
            "--initial-cluster",
            f"default={peer}",
            "--unsafe-no-fsync",
        )

    def start_apiserver(self) -> None:
        """Start the API server and wait until it is ready.

        Raises:
            ControlPlaneError: it ended, or was not ready in time.
        """
        self._start(
            "kube-apiserver",
            "--etcd-servers",
            f"http://127.0.0.1:{self.etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.server.rpartition(':')[2]}",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.250.0.0/24",
            "--service-account-issuer=https://conformance.invalid",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            f"--tls-cert-file={self.folder / 'server.crt'}",
            f"--tls-private-key-file={self.folder / 'server.key'}",
            f"--service-account-key-file={self.folder / 'server.key'}",
            f"--service-account-signing-key-file={self.folder / 'server.key'}",
        )
        self._wait_ready()

    def start_controllers(self) -> None:
        """Start the controller manager."""
        self._start(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={self.folder / 'server.key'}",
            f"--root-ca-file={self.folder / 'ca.crt'}",
            "--leader-elect=false",
            "--secure-port=0",
        )

    def _start(self, name: str, *arguments: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            [str(self.binaries[name]), *arguments], stdout=log, stderr=log, cwd=self.folder
        )
        log.close()

    def _wait_ready(self) -> None:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        deadline = time.monotonic() + _STARTUP_SECONDS
        while time.monotonic() < deadline:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise ControlPlaneError(f"{name} ended: {self.log_tail(name)}")
            try:
                with urllib.request.urlopen(  # noqa: S310
                    f"{self.server}/readyz", context=context, timeout=2
                ) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.1)
        raise ControlPlaneError(f"no API server: {self.log_tail('kube-apiserver')}")

    def log_tail(self, name: str) -> str:
        """Return the last lines of a process's log."""
        lines = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-15:])


@contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    """Run a control plane in `folder`; all of its processes end with the context.

    Raises:
        FileNotFoundError: see `find_binaries`.
        ControlPlaneError: a process did not start.
    """
    binaries = find_binaries()
    token = secrets.token_hex(16)
    server = f"https://127.0.0.1:{free_port()}"
    _write_certificates(folder)
    (folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(_kubeconfig(server, (folder / "ca.crt").read_bytes(), token))
    kubeconfig.chmod(0o600)
    plane = ControlPlane(
        folder=folder,
        server=server,
        kubeconfig=kubeconfig,
        etcd_port=free_port(),
        binaries=binaries,
    )
    try:
        plane.start_etcd()
        plane.start_apiserver()
        plane.start_controllers()
        yield plane
    finally:
        for name in reversed(list(plane.processes)):
            plane.stop(name)


def _kubeconfig(server: str, authority: bytes, token: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "conformance",
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": base64.b64encode(authority).decode(),
                    },
                }
            ],
            "users": [{"name": "admin", "user": {"token": token}}],
            "contexts": [
                {"name": "conformance", "context": {"cluster": "conformance", "user": "admin"}}
            ],
            "current-context": "conformance",
        }
    )


def _write_certificates(folder: Path) -> None:
    """Write `ca.crt`, `server.crt` and `server.key`, valid for one day on 127.0.0.1."""
    now = dt.datetime.now(dt.UTC)

    def certificate(
        name: str, key: rsa.RSAPrivateKey, issuer: str, signer: rsa.RSAPrivateKey
    ) -> x509.Certificate:
        is_authority = name == issuer
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .sign(signer, hashes.SHA256())
        )

    authority_key, server_key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    authority = certificate("conformance-ca", authority_key, "conformance-ca", authority_key)
    served = certificate("conformance", server_key, "conformance-ca", authority_key)
    pem = serialization.Encoding.PEM
    (folder / "ca.crt").write_bytes(authority.public_bytes(pem))
    (folder / "server.crt").write_bytes(served.public_bytes(pem))
    (folder / "server.key").write_bytes(
        server_key.private_bytes(
            pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    (folder / "server.key").chmod(0o600)
