"""A native Kafka that lets nobody in without a password or a certificate, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from millrace.local_kafka import NativeKafka
from millrace.local_kafka.broker import free_port
from streams.transport.access import BrokerAccess
from streams.transport.security import Mechanism, Sasl, Security, Tls
from tests.integration.certificates import Certificates, make_certificates

TEAM, TEAM_PASSWORD = "team", "pw-of-the-team"
GUEST, GUEST_PASSWORD = "guest", "pw-of-the-guest"
TEMPORARY, TEMPORARY_PASSWORD = "temporary", "pw-of-the-temporary"
CLIENT = "millrace-client"
BRIEF_MILLISECONDS = 1500


@dataclass(frozen=True)
class SecuredKafka:
    """A running broker. ``team`` and the client certificate may do everything, ``guest`` nothing
    that was not granted; who comes to ``admin`` without a name may do everything, too. The broker
    ends connections to ``brief`` after ``BRIEF_MILLISECONDS``, so that passwords are asked again.
    """

    admin: str
    sasl_ssl: int
    sasl_plaintext: int
    ssl: int
    brief: int
    certificates: Certificates

    def team(self, prefix: str = "", mechanism: Mechanism = "SCRAM-SHA-512") -> BrokerAccess:
        """Return how the team comes in over SASL_SSL."""
        sasl = Sasl(TEAM, TEAM_PASSWORD, mechanism)
        return BrokerAccess(self.at(self.sasl_ssl), prefix, Security(self.tls(), sasl))

    def guest(self, prefix: str = "") -> BrokerAccess:
        """Return how the guest comes in over SASL_SSL."""
        sasl = Sasl(GUEST, GUEST_PASSWORD)
        return replace(self.team(prefix), security=Security(self.tls(), sasl))

    def temporary(self, prefix: str = "") -> BrokerAccess:
        """Return how one who may do everything comes in again and again."""
        sasl = Sasl(TEMPORARY, TEMPORARY_PASSWORD, "SCRAM-SHA-256")
        return BrokerAccess(self.at(self.brief), prefix, Security(None, sasl))

    def tls(self) -> Tls:
        """Return TLS as the broker's certificate wants it."""
        return Tls(self.certificates.authority)

    def at(self, port: int, host: str = "localhost") -> str:
        """Return the address of a listener."""
        return f"kafka://{host}:{port}"


@contextmanager
def secured_kafka(cache: Path, folder: Path, heap_megabytes: int) -> Iterator[SecuredKafka]:
    """Yield a running broker; its certificates are written to ``folder``."""
    certificates = make_certificates(folder, CLIENT)
    listeners = ("SASLSSL", "SASLPLAIN", "MTLS", "BRIEF")
    ports = {name: free_port() for name in listeners}
    with NativeKafka(
        cache,
        heap_megabytes=heap_megabytes,
        settings=_settings(ports, certificates),
        formatted=_scram_credentials(),
    ) as broker:
        sasl_ssl, sasl_plaintext, ssl, brief = (ports[name] for name in listeners)
        yield SecuredKafka(broker.url, sasl_ssl, sasl_plaintext, ssl, brief, certificates)


def _settings(ports: dict[str, int], certificates: Certificates) -> dict[str, str]:
    inner = "PLAINTEXT://127.0.0.1:$port"
    listeners = [f"{name}://127.0.0.1:{port}" for name, port in ports.items()]
    advertised = [f"{name}://localhost:{port}" for name, port in ports.items()]
    plain = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'user_{TEAM}="{TEAM_PASSWORD}" user_{GUEST}="{GUEST_PASSWORD}";'
    )
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    settings = {
        "listeners": ",".join([inner, "CONTROLLER://127.0.0.1:$controller_port", *listeners]),
        "advertised.listeners": ",".join([inner, *advertised]),
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
            "SASLSSL:SASL_SSL,SASLPLAIN:SASL_PLAINTEXT,MTLS:SSL,"
            "BRIEF:SASL_PLAINTEXT"
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates.broker),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates.authority),
        "listener.name.mtls.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": r"RULE:^.*CN=([^,]+).*$$/$$1/",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:ANONYMOUS;User:{TEAM};User:{TEMPORARY};User:{CLIENT}",
        "listener.name.brief.connections.max.reauth.ms": str(BRIEF_MILLISECONDS),
    }
    for listener in ("saslssl", "saslplain", "brief"):
        of = f"listener.name.{listener}"
        settings[f"{of}.sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
        settings[f"{of}.plain.sasl.jaas.config"] = plain
        settings[f"{of}.scram-sha-256.sasl.jaas.config"] = scram
        settings[f"{of}.scram-sha-512.sasl.jaas.config"] = scram
    return settings


def _scram_credentials() -> list[str]:
    users = {TEAM: TEAM_PASSWORD, GUEST: GUEST_PASSWORD, TEMPORARY: TEMPORARY_PASSWORD}
    return [
        part
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        for user, password in users.items()
        for part in ("--add-scram", f"{mechanism}=[name={user},password={password}]")
    ]
