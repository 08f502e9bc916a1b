"""``millrace broker``: a local Kafka without Docker."""

import os
from pathlib import Path

import click


@click.command()
@click.option("--port", type=int, default=9092, show_default=True, help="Port on this host.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".millrace/kafka"),
    show_default=True,
    help="Folder that keeps the records.",
)
def broker(port: int, data: Path) -> None:
    """Serve Apache Kafka from its Java archives, without Docker; needs Java 17 and Maven once."""
    from millrace.local_kafka import cache_folder, run_broker

    run_broker(port, data, cache_folder(os.environ), lambda line: click.echo(line, err=True))
