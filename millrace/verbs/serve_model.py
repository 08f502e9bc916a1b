"""``millrace serve-model``: a loaded model that answers over HTTP."""

from pathlib import Path
from typing import Any

import click

from millrace.options import option, sentence_model_option
from millrace.verbs.asking_options import keep_option, model_options, model_settings


@click.command()
@model_options
@option("--host", default="127.0.0.1", show_default=True, help="Address to bind to.")
@option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8090,
    show_default=True,
    help="Port of the service; 0 takes a free one.",
)
@option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Answer only those who send the token in FILE as Authorization: Bearer.",
)
@keep_option
@sentence_model_option
def serve_model(
    snapshot: str | None,
    host: str,
    port: int,
    token_file: Path | None,
    keep: bool,
    sentence_model: Path | None,
    **values: Any,
) -> None:
    """Load the model of a snapshot, a run or settings once, and answer questions over HTTP.

    POST /ask takes what millrace ask does, as JSON, and /openapi.json describes it. POST /embed
    gives vectors of texts by a sentence model, for searches of the dashboard by concept. Questions
    that come together share a forward pass. The dashboard asks it when it is started with
    --model-service.
    """
    from millrace.model_server import serve

    serve(
        model_settings(**values),
        snapshot,
        host,
        port,
        token_file,
        keep=keep,
        sentence_model=sentence_model,
    )
