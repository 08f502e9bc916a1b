"""Certificates for a broker and its clients, made anew for each session of tests."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

KEY_PASSWORD = "pw-of-the-key"


@dataclass(frozen=True)
class Certificates:
    """PEM files. broker: key and chain, for the host "localhost" alone. stranger: an authority that
    has vouched for nobody here. expired and foreign: of clients that no broker takes.
    """

    authority: Path
    stranger: Path
    broker: Path
    client: Path
    client_key: Path
    encrypted_key: Path
    expired: Path
    foreign: Path


def make_certificates(folder: Path, client: str) -> Certificates:
    """Write the certificates to a folder; ``client`` is the common name of the client's."""
    ours, strangers = trustme.CA(), trustme.CA()
    host = f"{client}.test"  # Java takes no certificate that names nothing
    own = ours.issue_cert(host, common_name=client)
    now = datetime.now(UTC)
    old = ours.issue_cert(
        host,
        common_name=client,
        not_before=now - timedelta(days=9),
        not_after=now - timedelta(days=1),
    )
    return Certificates(
        authority=_written(folder / "ca.pem", ours.cert_pem.bytes()),
        stranger=_written(folder / "stranger.pem", strangers.cert_pem.bytes()),
        broker=_both(folder / "broker.pem", ours.issue_cert("localhost")),
        client=_written(folder / "client.pem", _chain(own)),
        client_key=_written(folder / "client.key", _key(own)),
        encrypted_key=_written(folder / "encrypted.key", _key(own, KEY_PASSWORD)),
        expired=_both(folder / "expired.pem", old),
        foreign=_both(folder / "foreign.pem", strangers.issue_cert(host, common_name=client)),
    )


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _both(path: Path, certificate: trustme.LeafCert) -> Path:
    return _written(path, _key(certificate) + _chain(certificate))


def _chain(certificate: trustme.LeafCert) -> bytes:
    return b"".join(blob.bytes() for blob in certificate.cert_chain_pems)


def _key(certificate: trustme.LeafCert, password: str = "") -> bytes:
    """Return the key in the form that Kafka reads, PKCS 8."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode())
        if password
        else serialization.NoEncryption(),
    )
