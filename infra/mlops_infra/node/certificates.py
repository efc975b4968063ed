"""When a node's certificates end, and which of them have to be made anew.

The authorities live ten years; what they signed lives one, and is renewed whenever the cluster is
started or changed within `RENEW_BEFORE` of its end. The kubelet renews its own by asking the
cluster, at between 70 and 90 % of their life.
"""

import base64
import contextlib
import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from mlops_infra.node.layout import StateFolder

# A Go duration and the time before its end; constants of the module for the tests' sake
VALIDITY = "8760h"
RENEW_BEFORE = datetime.timedelta(days=90)
# Later than the kubelet's own renewal could be: it did not work, as on a node that was off so long
_KUBELET_RENEW_BEFORE = datetime.timedelta(days=30)

_KUBELET_CLIENT = "kubelet-client-current.pem"
_KUBELET_SERVER = "kubelet.crt"


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """One of a node's certificates; `file` is relative to the cluster's folder."""

    file: str
    end: datetime.datetime


def certificates(folder: StateFolder) -> tuple[Certificate, ...]:
    """Every certificate of the node that ends before its authority does, the next end first.

    A file that cannot be read is left out: whoever needs it says so.
    """
    found = []
    for path, pem in _pems(folder):
        with contextlib.suppress(ValueError):
            file = str(path.relative_to(folder.path))
            found.append(Certificate(file=file, end=_end(pem)))
    return tuple(sorted(found, key=lambda certificate: certificate.end))


def first_end(folder: StateFolder) -> datetime.datetime | None:
    """When the first of the node's certificates ends; None before it has any."""
    ends = [certificate.end for certificate in certificates(folder)]
    return min(ends, default=None)


def renewal_is_due(folder: StateFolder, now: datetime.datetime | None = None) -> bool:
    """Whether a certificate of the control plane or kube-proxy ends soon, or the kubelet's does."""
    now = now or datetime.datetime.now(datetime.UTC)
    return kubelet_is_due(folder, now) or any(
        certificate.end - now < RENEW_BEFORE
        for certificate in certificates(folder)
        if not _of_kubelet(certificate)
    )


def kubelet_is_due(folder: StateFolder, now: datetime.datetime | None = None) -> bool:
    """Whether the kubelet has let its certificates come so near to their end that it needs help."""
    now = now or datetime.datetime.now(datetime.UTC)
    return any(
        certificate.end - now < _KUBELET_RENEW_BEFORE
        for certificate in certificates(folder)
        if _of_kubelet(certificate)
    )


def give_kubelet(folder: StateFolder, kubeconfig: str) -> None:
    """Give the kubelet the credentials of a kubeconfig, as if it had renewed them itself.

    Its serving certificate is removed: it signs another one when it starts.
    """
    user = yaml.safe_load(kubeconfig)["users"][0]["user"]
    pair = base64.b64decode(user["client-certificate-data"])
    pair += base64.b64decode(user["client-key-data"])
    pki = folder.kubelet / "pki"
    now = datetime.datetime.now(datetime.UTC)
    file = pki / f"kubelet-client-{now:%Y-%m-%d-%H-%M-%S}.pem"
    write_secret(file, pair.decode())
    link = pki / f"{_KUBELET_CLIENT}.new"
    link.unlink(missing_ok=True)
    # The kubelet replaces a link only, and expects the path that the node sees
    link.symlink_to(Path("/var/lib/kubelet/pki") / file.name)
    link.rename(pki / _KUBELET_CLIENT)
    for name in (_KUBELET_SERVER, "kubelet.key"):
        (pki / name).unlink(missing_ok=True)


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read, in one step."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.rename(path)


def _of_kubelet(certificate: Certificate) -> bool:
    return Path(certificate.file).name in (_KUBELET_CLIENT, _KUBELET_SERVER)


def _pems(folder: StateFolder) -> Iterator[tuple[Path, bytes]]:
    pki = folder.kubernetes / "pki"
    for path in (*pki.glob("*.crt"), *pki.glob("etcd/*.crt")):
        if path.name not in ("ca.crt", "front-proxy-ca.crt"):
            yield path, path.read_bytes()
    for path in folder.kubernetes.glob("*.conf"):
        # The kubelet's names a file instead, which is read below
        with contextlib.suppress(yaml.YAMLError, LookupError, TypeError, ValueError):
            user = yaml.safe_load(path.read_text())["users"][0]["user"]
            yield path, base64.b64decode(user["client-certificate-data"])
    current = folder.kubelet / "pki" / _KUBELET_CLIENT
    if current.is_symlink():
        # An absolute path of the node
        target = current.with_name(current.readlink().name)
        if target.exists():
            yield current, target.read_bytes()
    server = folder.kubelet / "pki" / _KUBELET_SERVER
    if server.exists():
        yield server, server.read_bytes()


def _end(pem: bytes) -> datetime.datetime:
    # Imported here: it takes a moment, which a program that only describes clusters should not need
    from cryptography import x509  # noqa: PLC0415

    return x509.load_pem_x509_certificates(pem)[0].not_valid_after_utc
