"""Serving the dashboard over HTTP from settings."""

import socket

from millrace.progress_bars import say
from streams.errors import SettingsError, UserError
from streams.transport.access import BrokerAccess


def expect_port(host: str, port: int) -> None:
    """Raise UserError, before any work is done, if the pages could not be served at a port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(f"cannot listen on {host}:{port}: {reason}; try another port") from None


def serve_pages(manifest: str | None, broker: BrokerAccess, host: str, port: int) -> None:
    """Serve one snapshot, or all that a broker announces, until interrupted."""
    from downstream.dashboard.app import serve
    from downstream.reading.locating import locate

    if manifest is None and broker.is_embedded:
        raise SettingsError(
            "name the MANIFEST of a snapshot, or a --broker other processes can reach"
        )
    if manifest is None:
        serve(host, port, broker=broker, report=say)
    else:
        locate(manifest)
        serve(host, port, snapshot=manifest, report=say)
