"""Certificates that a TLS client accepts, and their renewal."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_platform import webhook_certificates
from mlops_platform.webhook_certificates import CertificateError, WebhookCertificatesProvider

NAME = "hook.kserve.svc"
PROPS: dict[str, Any] = {"authority_name": "authority", "names": [NAME]}
NOW = datetime.now(UTC)


def _at(days: float) -> WebhookCertificatesProvider:
    return WebhookCertificatesProvider(lambda: NOW + timedelta(days=days))


@pytest.fixture(scope="module")
def issued() -> dict[str, Any]:
    return dict(_at(0).create(PROPS).outs)


def _handshake(folder: Path, found: dict[str, Any], name: str, authority: str) -> None:
    """Serve with a certificate, and connect as the API server would."""
    for key in ("certificate", "private_key"):
        (folder / key).write_text(found[key])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "certificate", folder / "private_key")
    client = ssl.create_default_context(cadata=authority)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=name):
            pass
    finally:
        ours.close()
        thread.join()


def test_a_client_that_trusts_the_authority_accepts_the_service(
    issued: dict[str, Any], tmp_path: Path
) -> None:
    _handshake(tmp_path, issued, NAME, issued["authority"])


def test_a_client_refuses_another_name(issued: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        _handshake(tmp_path, issued, "other.kserve.svc", issued["authority"])


def test_a_client_of_another_authority_refuses(issued: dict[str, Any], tmp_path: Path) -> None:
    other, _ = webhook_certificates.issue_authority("authority", NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(tmp_path, issued, NAME, other)


@pytest.mark.parametrize(("days", "changes"), [(0, False), (334, False), (336, True), (400, True)])
def test_what_ends_within_thirty_days_is_renewed(
    issued: dict[str, Any], days: int, changes: bool
) -> None:
    assert _at(days).diff("id", issued, PROPS).changes is changes


def test_other_names_are_issued_again(issued: dict[str, Any]) -> None:
    assert _at(1).diff("id", issued, {**PROPS, "names": ["other"]}).changes


def test_a_renewal_keeps_the_authority(issued: dict[str, Any], tmp_path: Path) -> None:
    renewed = dict(_at(340).update("id", issued, PROPS).outs)
    assert renewed["authority"] == issued["authority"]
    assert renewed["certificate"] != issued["certificate"]
    assert renewed["private_key"] != issued["private_key"]
    assert webhook_certificates.expires(renewed["certificate"]) > NOW + timedelta(days=700)
    assert _at(341).diff("id", renewed, PROPS).changes is False


def test_an_authority_that_would_end_before_its_certificate_is_renewed_too(
    issued: dict[str, Any],
) -> None:
    renewed = dict(_at(3300).update("id", issued, PROPS).outs)
    assert renewed["authority"] != issued["authority"]
    assert webhook_certificates.expires(renewed["certificate"]) > NOW + timedelta(days=3600)


def test_no_names_are_refused() -> None:
    with pytest.raises(CertificateError, match="DNS names"):
        _at(0).create({**PROPS, "names": []})
