"""What is said of a broker that does not let us in, by what its handshake ended with."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import conn, errors

from streams.transport.kafka import access_refusal
from streams.transport.kafka.access_refusal import refusal
from streams.transport.security import OPEN, Sasl, Security, Tls

USER = Security(sasl=Sasl("me", "secret"))
HERE = "127.0.0.1"


def unverified(code: int, message: str = "odd") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, message
    return error


def alert(reason: str | None) -> ssl.SSLError:
    error = ssl.SSLError(1, "odd")
    error.reason = reason  # type: ignore[assignment]
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (unverified(62), "not for host; take the host that the certificate names"),
        (unverified(64), "not for host;"),
        (unverified(10), "has expired"),
        (unverified(9), "not valid yet"),
        *((unverified(code), "of an unknown authority") for code in (2, 18, 19, 20, 21)),
        (unverified(23, "certificate revoked"), "is not accepted: certificate revoked"),
        (alert("WRONG_VERSION_NUMBER"), "does not speak TLS at this port"),
        (alert("RECORD_LAYER_FAILURE"), "does not speak TLS at this port"),
        (alert("UNEXPECTED_EOF_WHILE_READING"), "does not speak TLS at this port"),
        (alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"), r"our client certificate \(certificate req"),
        (alert("TLSV1_ALERT_UNKNOWN_CA"), r"our client certificate \(unknown ca\)"),
        (alert("SSLV3_ALERT_HANDSHAKE_FAILURE"), r"certificate \(handshake failure\)"),
        (alert("TLSV1_ALERT_PROTOCOL_VERSION"), "TLS fails: protocol version$"),
        (alert(None), "TLS fails: .*odd"),
    ],
)
def test_what_is_wrong_with_a_handshake_is_said(error: ssl.SSLError, said: str) -> None:
    found = access_refusal._of_handshake(error, "host")
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(found)


class Connection:
    """A connection that fails at a request, or does not, and is closed in any case."""

    closed = 0

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def send(self, request: Any) -> None:
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        type(self).closed += 1


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have connections fail when they are opened, or at their first request."""

    def fail(opening: Exception | None = None, asking: Exception | None = None) -> None:
        async def create(*_: Any, **options: Any) -> Connection:
            if opening is not None:
                raise opening
            return Connection(asking)

        monkeypatch.setattr(conn, "create_conn", create)

    return fail


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.UnsupportedSaslMechanismError(), "does not take this mechanism"),
        (errors.SaslAuthenticationFailed(), "does not accept user and password"),
        (errors.AuthenticationFailedError(), "does not accept user and password"),
        (ValueError("no server signature"), "does not accept user and password"),
        (errors.IllegalSaslStateError(), "takes no SASL here"),
    ],
)
def test_what_a_broker_says_of_a_user_is_said(
    connected: Callable[..., None], error: Exception, said: str
) -> None:
    connected(opening=error)
    assert said in (refusal(f"{HERE}:1", USER) or "")
    Connection.closed = 0
    connected(asking=error)
    assert said in (refusal(f"{HERE}:1", USER) or "")
    assert Connection.closed == 1


def test_a_broker_that_lets_us_in_refuses_nothing(connected: Callable[..., None]) -> None:
    connected()
    assert refusal(f"[::1]:{9}", USER) is None


@pytest.mark.parametrize(
    ("security", "wants"),
    [
        (OPEN, "PLAINTEXT; it may want TLS (kafka.tls = true) or a user (kafka.user"),
        (USER, "SASL_PLAINTEXT; it may want TLS (kafka.tls = true)"),
        (Security(Tls()), "SSL; it may want a user (kafka.user and kafka.password) or a client"),
        (Security(Tls(certificate=Path("c")), USER.sasl), "gives no answer over SASL_SSL"),
    ],
)
def test_of_a_silent_broker_what_it_may_want_is_said(
    connected: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    security: Security,
    wants: str,
) -> None:
    monkeypatch.setattr(access_refusal, "_of_tls", lambda *_: None)
    monkeypatch.setattr(Security, "client_options", lambda _: {})
    connected(opening=TimeoutError())
    with socket.create_server((HERE, 0)) as server:
        found = refusal(f"{HERE}:{server.getsockname()[1]}", security)
        address = f"{HERE}:{server.getsockname()[1]}"
    assert wants in (found or "")
    assert ("may want" in (found or "")) == ("may want" in wants)
    assert refusal(address, security) is None  # nobody is there


def test_what_is_wrong_with_tls_comes_first(
    connected: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    connected()
    monkeypatch.setattr(access_refusal, "_of_tls", lambda *_: "no TLS")
    assert refusal("host:1", Security(Tls())) == "no TLS"
    assert refusal("host:1", OPEN) is None
