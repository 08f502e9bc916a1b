"""``millrace dashboard``: the pages served."""

from pathlib import Path

import click

from millrace.options import broker_option, port_option, settings, settings_option


@click.command()
@click.argument("store", required=False)
@settings_option
@broker_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind to.")
@port_option
def dashboard(
    store: str | None, settings_file: Path | None, broker: str | None, host: str, port: int
) -> None:
    """Serve pages for all snapshots of a STORE, for one (its manifest or folder), or for all that a
    broker announces, with the progress of its runs."""
    from millrace.dashboard_server import serve_pages

    chosen = settings(settings_file, broker=broker)
    serve_pages(store, chosen.access, host, port)
