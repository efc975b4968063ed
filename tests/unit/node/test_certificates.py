import base64
import datetime
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mlops_infra.node import certificates
from mlops_infra.node.layout import StateFolder

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
FAR = datetime.timedelta(days=3650)


def pair(days: float) -> tuple[str, str]:
    """A certificate that ends in so many days, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "trial")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - FAR)
        .not_valid_after(NOW + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), pem.decode()


def kubeconfig(days: float) -> str:
    certificate, key = (base64.b64encode(text.encode()).decode() for text in pair(days))
    user = {"client-certificate-data": certificate, "client-key-data": key}
    return yaml.safe_dump({"users": [{"name": "trial", "user": user}]})


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    """A node's certificates, of which the API server's ends first, in 200 days."""
    state = StateFolder(path=tmp_path)
    (state.kubernetes / "pki/etcd").mkdir(parents=True)
    (state.kubelet / "pki").mkdir(parents=True)
    for name, days in (("ca", 3650), ("apiserver", 200), ("front-proxy-ca", 3650)):
        (state.kubernetes / f"pki/{name}.crt").write_text(pair(days)[0])
    for name, days in (("ca", 3650), ("server", 300)):
        (state.kubernetes / f"pki/etcd/{name}.crt").write_text(pair(days)[0])
    state.kubeconfig.write_text(kubeconfig(250))
    user = {"client-certificate": "/var/lib/kubelet/pki/kubelet-client-current.pem"}
    (state.kubernetes / "kubelet.conf").write_text(yaml.safe_dump({"users": [{"user": user}]}))
    certificates.give_kubelet(state, kubeconfig(365))
    (state.kubelet / "pki/kubelet.crt").write_text(pair(365)[0])
    return state


def test_every_certificate_but_the_authorities_has_an_end(folder: StateFolder) -> None:
    assert [certificate.file for certificate in certificates.certificates(folder)] == [
        "kubernetes/pki/apiserver.crt",
        "kubernetes/admin.conf",
        "kubernetes/pki/etcd/server.crt",
        *sorted(["kubelet/pki/kubelet-client-current.pem", "kubelet/pki/kubelet.crt"]),
    ]
    assert certificates.first_end(folder) == NOW + datetime.timedelta(days=200)


def test_a_cluster_without_certificates_has_no_end(tmp_path: Path) -> None:
    assert certificates.first_end(StateFolder(path=tmp_path)) is None
    assert not certificates.renewal_is_due(StateFolder(path=tmp_path))


@pytest.mark.parametrize(
    ("days", "due", "kubelet"),
    [
        (0, False, False),
        (109, False, False),
        (111, True, False),  # the API server's has 89 days left
        (201, True, False),  # and is over
        (336, True, True),  # the kubelet should have renewed its own by now
    ],
)
def test_what_ends_within_90_days_is_renewed(
    folder: StateFolder, days: int, *, due: bool, kubelet: bool
) -> None:
    later = NOW + datetime.timedelta(days=days)
    assert certificates.renewal_is_due(folder, later) is due
    assert certificates.kubelet_is_due(folder, later) is kubelet


def test_the_kubelets_own_renewal_is_waited_for(folder: StateFolder) -> None:
    for file in ("pki/apiserver.crt", "pki/etcd/server.crt"):
        (folder.kubernetes / file).write_text(pair(3000)[0])
    folder.kubeconfig.write_text(kubeconfig(3000))
    # It renews between 70 and 90 % of a year
    assert not certificates.renewal_is_due(folder, NOW + datetime.timedelta(days=334))
    assert certificates.renewal_is_due(folder, NOW + datetime.timedelta(days=336))


def test_the_kubelet_gets_credentials_as_if_it_had_renewed_them(folder: StateFolder) -> None:
    pki = folder.kubelet / "pki"
    certificates.give_kubelet(folder, kubeconfig(30))
    current = pki / "kubelet-client-current.pem"
    # The path is the node's: the kubelet keeps a link and replaces nothing else
    assert current.readlink().parent == Path("/var/lib/kubelet/pki")
    text = (pki / current.readlink().name).read_text()
    assert text.count("BEGIN CERTIFICATE") == 1
    assert text.count("BEGIN EC PRIVATE KEY") == 1
    assert (pki / current.readlink().name).stat().st_mode & 0o777 == 0o600
    assert not (pki / "kubelet.crt").exists()


def test_a_damaged_file_does_not_hide_the_others(folder: StateFolder) -> None:
    (folder.kubernetes / "pki/apiserver.crt").write_text("no certificate")
    folder.kubeconfig.write_text(": no : kubeconfig")
    assert certificates.first_end(folder) == NOW + datetime.timedelta(days=300)
