"""Certificates of admission webhooks, from an authority of the stack's own."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, UpdateResult

from mlops_infra.discreet_provider import DiscreetProvider

# The authority outlives its certificates, so that a renewal changes the certificate alone: the API
# server trusts the new one before and after the webhook's pod has read it.
AUTHORITY_LIFETIME: Final = timedelta(days=3650)
LIFETIME: Final = timedelta(days=365)
RENEWED_BEFORE: Final = timedelta(days=30)
# Clocks of nodes may be behind.
_BACKDATED = timedelta(minutes=5)


class CertificateError(Exception):
    """No certificate can be made as asked; the message says why."""


def _now() -> datetime:
    return datetime.now(UTC)


def issue_authority(name: str, now: datetime) -> tuple[str, str]:
    """Return the certificate and the private key of a new authority, as PEM.

    Args:
        name: the authority's common name.
        now: begin of its lifetime.
    """
    # Imported here, as below: a dynamic provider's module is read by every preview.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate), _key_pem(key)


def issue(
    authority: str, authority_key: str, names: Sequence[str], now: datetime
) -> tuple[str, str]:
    """Return a server's certificate and private key, as PEM.

    Args:
        authority: the authority's certificate, as PEM.
        authority_key: its private key, as PEM.
        names: DNS names of the server.
        now: begin of the certificate's lifetime.

    Raises:
        CertificateError: there are no names.
    """
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    if not names:
        raise CertificateError("a webhook's certificate needs the DNS names of its Service")
    issuer = x509.load_pem_x509_certificate(authority.encode())
    issuer_key = serialization.load_pem_private_key(authority_key.encode(), None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise CertificateError("the authority's key is none that this module made")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        # Clients read the alternative names; a common name holds 64 characters at most.
        .subject_name(_subject(names[0].partition(".")[0][:64]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(min(now + LIFETIME, issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return _pem(certificate), _key_pem(key)


def expires(certificate: str) -> datetime:
    """Return the end of a certificate's lifetime.

    Args:
        certificate: as PEM.
    """
    from cryptography import x509  # noqa: PLC0415

    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc


class WebhookCertificatesProvider(DiscreetProvider):
    """Issues at creation, and renews what ends within 30 days."""

    serialize_as_secret_always = False

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        """Take the clock that decides what must be renewed."""
        super().__init__()
        self._clock = clock

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make an authority, and a certificate of it.

        Raises:
            CertificateError: there are no names.
        """
        now = self._clock()
        authority, key = issue_authority(str(props["authority_name"]), now)
        issued = self._issued(props, authority, key, now)
        return CreateResult(f"{props['authority_name']}-{now:%Y%m%d%H%M%S}", issued)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Renew for other names, and before a certificate ends."""
        changed = list(olds["names"]) != list(news["names"])
        return DiffResult(
            changes=changed or self._ends(olds["certificate"]) or self._ends(olds["authority"]),
            # Another authority's name is another authority.
            replaces=[] if olds["authority_name"] == news["authority_name"] else ["authority_name"],
        )

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Issue again: by the same authority, unless that ends too.

        Raises:
            CertificateError: there are no names.
        """
        now = self._clock()
        authority, key = olds["authority"], olds["authority_key"]
        # A certificate must not outlive its authority.
        if expires(authority) < now + LIFETIME:
            authority, key = issue_authority(str(news["authority_name"]), now)
        return UpdateResult(self._issued(news, authority, key, now))

    def _ends(self, certificate: str) -> bool:
        return expires(certificate) - self._clock() < RENEWED_BEFORE

    @staticmethod
    def _issued(props: dict[str, Any], authority: str, key: str, now: datetime) -> dict[str, Any]:
        certificate, private_key = issue(authority, key, list(props["names"]), now)
        return {
            **props,
            "authority": authority,
            "authority_key": key,
            "certificate": certificate,
            "private_key": private_key,
        }


class WebhookCertificates(Resource, module="mlops", name="WebhookCertificates"):
    """The certificate of one webhook's Service, and the authority that the API server trusts.

    Attributes:
        authority: the authority's certificate, as PEM.
        authority_key: its private key, as PEM, secret.
        certificate: the server's certificate, as PEM.
        private_key: its private key, as PEM, secret.
    """

    authority: pulumi.Output[str]
    authority_key: pulumi.Output[str]
    certificate: pulumi.Output[str]
    private_key: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        service: str,
        namespace: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Issue for a Service.

        Args:
            name: the resource's name.
            service: name of the webhook's Service.
            namespace: its namespace.
            opts: options of the resource.
        """
        super().__init__(
            WebhookCertificatesProvider(),
            name,
            {
                "authority_name": f"{service}-authority",
                "names": [
                    f"{service}.{namespace}.svc",
                    f"{service}.{namespace}.svc.cluster.local",
                ],
                "authority": None,
                "authority_key": None,
                "certificate": None,
                "private_key": None,
            },
            pulumi.ResourceOptions.merge(
                opts,
                pulumi.ResourceOptions(additional_secret_outputs=["authority_key", "private_key"]),
            ),
        )


def _subject(name: str) -> Any:
    from cryptography import x509  # noqa: PLC0415

    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, name)])


def _usage(*, signs_certificates: bool) -> Any:
    from cryptography import x509  # noqa: PLC0415

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: Any) -> str:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    return bytes(certificate.public_bytes(serialization.Encoding.PEM)).decode()


def _key_pem(key: Any) -> str:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    text: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return text.decode()
