"""Serving the dashboard."""

from millrace.bars import say
from streams.errors import SettingsError


def serve_pages(manifest: str | None, broker: str, host: str, port: int) -> None:
    """Serve one snapshot, or all that a broker announces, until interrupted."""
    from consumers.dashboard.app import serve

    if manifest is None and broker.startswith("memory:"):
        raise SettingsError(
            "name the MANIFEST of a snapshot, or a --broker other processes can reach"
        )
    if manifest is None:
        serve(host, port, broker=broker, report=say)
    else:
        serve(host, port, snapshot=manifest, report=say)
