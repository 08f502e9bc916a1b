"""Why a broker that is there does not let us in, in one clause: tried once, with no retry.

The client library retries failed handshakes and says little about them: with an unknown authority,
only that no broker could be reached.
"""

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

from streams.transport.security import Security, Tls

SECONDS = 5.0
# ApiVersions, version 0, of a client without a name: what any broker answers anybody.
_QUESTION = bytes.fromhex("0000000a 0012 0000 00000001 ffff")
# Of OpenSSL's verification.
_EXPIRED, _NOT_YET_VALID = 10, 9
_HOST, _ADDRESS = 62, 64
_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21)
_NO_TLS = "it does not speak TLS at this port; leave kafka.tls out, or take another port"


def refusal(address: str, security: Security) -> str | None:
    """Return why the broker at ``host:port`` does not let us in; None if it does, or is not there.

    Raises SettingsError for certificates of ours that cannot be used.
    """
    host, _, text = address.rpartition(":")
    host, port = host.strip("[]"), int(text)
    if security.tls is not None and (why := _of_tls(host, port, security.tls)):
        return why
    # A loop of its own: whoever asks may be running one.
    with ThreadPoolExecutor(1, thread_name_prefix="access") as thread:
        return thread.submit(asyncio.run, _of_connection(host, port, security)).result()


async def _of_connection(host: str, port: int, security: Security) -> str | None:
    """Return what is wrong when a connection is opened and the cluster's brokers are asked for.

    By aiokafka, which tries once. kafka-python forgets the answer of a broker that closes the
    connection right behind it, which is how a password is refused.
    """
    from aiokafka import errors
    from aiokafka.conn import create_conn
    from aiokafka.protocol.metadata import MetadataRequest

    milliseconds = int(SECONDS * 1000)
    options = security.client_options()
    try:
        connection = await create_conn(host, port, request_timeout_ms=milliseconds, **options)
        try:
            await connection.send(MetadataRequest([]))
        finally:
            connection.close()
    except errors.UnsupportedSaslMechanismError:
        return "it does not take this mechanism, or no SASL; look at kafka.mechanism"
    except (errors.SaslAuthenticationFailed, errors.AuthenticationFailedError, ValueError):
        return "it does not accept user and password; look at kafka.user and kafka.password"
    except errors.IllegalSaslStateError:
        return (
            "it takes no SASL here; leave kafka.user and kafka.password out, or take another port"
        )
    except (errors.KafkaError, OSError, TimeoutError):
        return _of_silence(host, port, security)
    return None


def _of_tls(host: str, port: int, tls: Tls) -> str | None:
    """Return what is wrong with certificates, ours or the broker's, None if they will do.

    In TLS 1.3 a broker looks at our certificate after the handshake, so it is asked something.
    """
    context, shaken = tls.context(), False
    try:
        with (
            socket.create_connection((host, port), SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            shaken = True
            connection.sendall(_QUESTION)
            connection.recv(1)
    except ssl.SSLError as error:
        return _of_handshake(error, host)
    except OSError:
        return None if shaken or not _is_there(host, port) else _NO_TLS
    return None


def _is_there(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), SECONDS).close()
    except OSError:
        return False
    return True


def _of_handshake(error: ssl.SSLError, host: str) -> str:
    """Return what is wrong when a handshake fails."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return _of_alert(error)
    if error.verify_code in (_HOST, _ADDRESS):
        return (
            f"its certificate is not for {host}; take the host that the certificate names, or set "
            "kafka.check_hostname = false if you must"
        )
    if error.verify_code == _EXPIRED:
        return "its certificate has expired; renew it on the broker"
    if error.verify_code == _NOT_YET_VALID:
        return "its certificate is not valid yet; look at the clocks"
    if error.verify_code in _UNKNOWN_AUTHORITY:
        return "its certificate is of an unknown authority; name the authority's in kafka.ca"
    return f"its certificate is not accepted: {error.verify_message}"


def _of_alert(error: ssl.SSLError) -> str:
    """Return what a broker says with which it ends a handshake, and what to do."""
    said = (error.reason or str(error)).lower().replace("_", " ").rpartition("alert ")[2]
    if "wrong version number" in said or "record layer" in said or "unexpected eof" in said:
        return _NO_TLS
    if "certificate" in said or "unknown ca" in said or "handshake failure" in said:
        return (
            f"it does not accept our client certificate ({said}): it is missing, has expired or is "
            "of an authority that the broker does not know; look at kafka.certificate and kafka.key"
        )
    return f"TLS fails: {said}"


def _of_silence(host: str, port: int, security: Security) -> str | None:
    """Return what may be wrong where a connection is closed or stays silent without a word."""
    if not _is_there(host, port):
        return None
    wants = [
        *(["TLS (kafka.tls = true)"] if security.tls is None else []),
        *(["a user (kafka.user and kafka.password)"] if security.sasl is None else []),
    ]
    if security.tls is not None and security.tls.certificate is None:
        wants.append("a client certificate (kafka.certificate)")
    guess = f"; it may want {' or '.join(wants)}" if wants else ""
    return f"it takes the connection and gives no answer over {security.protocol}{guess}"
