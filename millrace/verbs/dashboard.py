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
@click.option(
    "--edit-token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Let those who know the token in FILE write labels, stars and notes.",
)
def dashboard(
    store: str | None,
    settings_file: Path | None,
    broker: str | None,
    host: str,
    port: int,
    edit_token_file: Path | None,
) -> None:
    """Serve pages for all snapshots of a STORE, for one (its manifest or folder), or for all that a
    broker announces, with the progress of its runs."""
    from millrace.dashboard_server import edit_token, serve_pages

    token = edit_token(edit_token_file) if edit_token_file else None
    chosen = settings(settings_file, broker=broker)
    serve_pages(store, chosen.access, host, port, token)
