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
@click.option(
    "--start-token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Let those who know the token in FILE make runs on the broker, by the page /start/.",
)
@click.option(
    "--start-workers",
    is_flag=True,
    help="Serve these runs, too, one at a time, by two processes on this machine.",
)
@click.option(
    "--embed-origin",
    "embed_origins",
    multiple=True,
    metavar="ORIGIN",
    help="Let pages of a site, such as https://notes.example.org, show features in a frame.",
)
@click.option(
    "--model-service",
    metavar="URL",
    help="Ask this millrace serve-model, such as http://127.0.0.1:8090/, about texts to try.",
)
@click.option(
    "--model-token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Send the token in FILE to the model service.",
)
@click.pass_obj
def dashboard(
    own_process: bool,
    store: str | None,
    settings_file: Path | None,
    broker: str | None,
    host: str,
    port: int,
    edit_token_file: Path | None,
    start_token_file: Path | None,
    start_workers: bool,
    embed_origins: tuple[str, ...],
    model_service: str | None,
    model_token_file: Path | None,
) -> None:
    """Serve pages for all snapshots of a STORE, for one (its manifest or folder), or for all that a
    broker announces, with the progress of its runs."""
    from millrace.left_out import leave_out

    if own_process:
        leave_out("pandas")
    from millrace.dashboard_server import Start, model_client, origin, serve_pages, token_in

    token = token_in(edit_token_file) if edit_token_file else None
    start_token = token_in(start_token_file) if start_token_file else None
    chosen = settings(settings_file, broker=broker, model_service=model_service)
    model = model_client(chosen.model_service, model_token_file)
    if start_workers and start_token is None:
        raise click.UsageError("--start-workers needs --start-token-file: who may start them")
    start = Start(start_token, settings_file, chosen.store, start_workers)
    origins = [origin(one) for one in embed_origins]
    serve_pages(store, chosen.access, host, port, token, origins, model, start)
