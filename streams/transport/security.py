"""How clients of Kafka show who they are, and whom they believe: SASL and TLS."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from streams.errors import SettingsError

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS to the broker.

    authority: PEM file of the certificates that may vouch for the broker; None for those of this
    system. certificate, key: PEM files of the client's own certificate and key; without ``key``
    both stand in ``certificate``. check_hostname: whether the broker's certificate must name the
    host that was asked for; that it is vouched for is checked in any case.
    """

    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    check_hostname: bool = True

    def context(self) -> ssl.SSLContext:
        """Return the context of new connections; SettingsError for files that cannot be used.

        Files are read now, so that connections that are opened later see renewed ones.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = self.check_hostname
        if self.authority is None:
            context.load_default_certs()
        else:
            _load_authority(context, self.authority)
        if self.certificate is not None:
            self._load_certificate(context, self.certificate)
        return context

    def _load_certificate(self, context: ssl.SSLContext, certificate: Path) -> None:
        files = f"{certificate}" + (f" with key {self.key}" if self.key else "")
        try:
            # A function, because OpenSSL would ask at the terminal for a password that it lacks.
            context.load_cert_chain(certificate, self.key, lambda: self.key_password or "")
        except ssl.SSLError:
            raise SettingsError(
                f"client certificate {files} cannot be used: they are no certificate and key in "
                "PEM form, do not belong together, or kafka.key_password does not open the key"
            ) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SettingsError(f"client certificate {files}: {reason}") from None


@dataclass(frozen=True, slots=True)
class Sasl:
    """A user of the broker and the password."""

    user: str
    password: str = field(repr=False)
    mechanism: Mechanism = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class Security:
    """How to reach a broker: encrypted or not, as somebody or as nobody in particular."""

    tls: Tls | None = None
    sasl: Sasl | None = None

    @property
    def protocol(self) -> str:
        """Kafka's name for it: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
        carrier = "SSL" if self.tls else "PLAINTEXT"
        return f"SASL_{carrier}" if self.sasl else carrier

    def context(self) -> ssl.SSLContext | None:
        """Return the context of new connections, None without TLS."""
        return self.tls.context() if self.tls else None

    def client_options(self) -> dict[str, Any]:
        """Return what a new client of kafka-python or aiokafka takes, under their common names."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.tls is not None:
            options["ssl_context"] = self.tls.context()
        if self.sasl is not None:
            options["sasl_mechanism"] = self.sasl.mechanism
            options["sasl_plain_username"] = self.sasl.user
            options["sasl_plain_password"] = self.sasl.password
        return options


OPEN = Security()
"""Neither encrypted nor authenticated."""


def _load_authority(context: ssl.SSLContext, authority: Path) -> None:
    try:
        context.load_verify_locations(authority)
    except ssl.SSLError:
        raise SettingsError(f"kafka.ca {authority} holds no certificate in PEM form") from None
    except OSError as error:
        raise SettingsError(f"kafka.ca {authority}: {error.strerror or error}") from None
