"""``millrace corpora``."""

from pathlib import Path

import click

from millrace.options import broker_option, settings, settings_option
from streams.transport.client import Client
from streams.transport.connect import connect


@click.group()
def corpora() -> None:
    """List, show, dump, load and delete corpora."""


def _client(settings_file: Path | None, broker: str | None) -> Client:
    return connect(settings(settings_file, broker=broker).broker)


@corpora.command("list")
@settings_option
@broker_option
def list_(settings_file: Path | None, broker: str | None) -> None:
    """List the corpora of the broker."""
    from streams.catalog import list_corpora

    for record in list_corpora(_client(settings_file, broker)):
        state = f"{record.tokens:,} tokens" if record.sealed else "not complete"
        click.echo(f"{record.name}  {state}  {record.tokenizer}")


@corpora.command()
@click.argument("name")
@settings_option
@broker_option
def show(name: str, settings_file: Path | None, broker: str | None) -> None:
    """Show what is known of a corpus, and how much of it the broker holds."""
    from dataclasses import asdict

    from streams import topics
    from streams.catalog import get_corpus

    client = _client(settings_file, broker)
    record = get_corpus(client, name)
    for key, value in asdict(record).items():
        click.echo(f"{key}: {value}")
    ends = client.ends(topics.tokens(name, record.partitions).name)
    click.echo(f"records per partition: {', '.join(str(ends[p]) for p in sorted(ends))}")


@corpora.command()
@click.argument("name")
@settings_option
@broker_option
def delete(name: str, settings_file: Path | None, broker: str | None) -> None:
    """Delete a corpus: its batches and its record. Runs over it keep their snapshots."""
    from producers.corpora import delete_corpus

    delete_corpus(_client(settings_file, broker), name)
    click.echo(f"corpus {name} deleted")


@corpora.command()
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@settings_option
@broker_option
def dump(name: str, file: Path, settings_file: Path | None, broker: str | None) -> None:
    """Write a sealed corpus to one FILE, from which it can be loaded elsewhere."""
    from millrace.producing import dump as dump_corpus

    record = dump_corpus(_client(settings_file, broker), name, file)
    click.echo(f"corpus {record.name}: {record.batches:,} batches written to {file}")


@corpora.command()
@click.argument("file", type=click.Path(path_type=Path))
@settings_option
@broker_option
def load(file: Path, settings_file: Path | None, broker: str | None) -> None:
    """Put a dumped corpus onto the broker, batch for batch as it was."""
    from millrace.producing import load as load_corpus

    record = load_corpus(_client(settings_file, broker), file)
    click.echo(f"corpus {record.name}: {record.batches:,} batches loaded")
