"""``millrace produce``: text to token batches."""

from pathlib import Path
from typing import Any

import click

from millrace.corpus_options import corpus_options, corpus_values
from millrace.monitoring import log_format_option, metrics_options
from millrace.options import (
    broker_option,
    given,
    settings,
    settings_option,
)


@click.command()
@corpus_options
@settings_option
@broker_option
@metrics_options
@log_format_option
def produce(
    settings_file: Path | None,
    broker: str | None,
    metrics_port: int | None,
    metrics_host: str,
    **values: Any,
) -> None:
    """Write TEXT as token batches to a corpus on the broker.

    TEXT is files, folders, '-' for standard input, hf:NAME[:CONFIG][#SPLIT] for a Hugging Face
    dataset, or python: for the texts that come with Python. A broken-off corpus goes on where it
    stopped.
    """
    from millrace.corpus import prepare_text
    from millrace.producing import produce_corpus
    from streams.monitoring.endpoint import Address
    from streams.transport.connect import connect

    chosen = settings(settings_file, broker=broker, corpus=given(corpus_values(**values)))
    client = connect(chosen.access)
    address = None if metrics_port is None else Address(metrics_host, metrics_port)
    record = produce_corpus(client, prepare_text(chosen, client), address)
    click.echo(
        f"corpus {record.name}: {record.documents:,} documents, {record.rows:,} rows, "
        f"{record.tokens:,} tokens in {record.batches:,} batches"
    )
