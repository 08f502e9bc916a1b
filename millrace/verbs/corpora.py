"""``millrace corpora``: corpora listed, shown, deleted, dumped, loaded and rebatched."""

from pathlib import Path

import click

from millrace.confirmation import confirm, yes_option
from millrace.did_you_mean import SuggestingGroup
from millrace.options import broker_option, json_option, option, settings, settings_option
from streams.transport.client import Client
from streams.transport.connect import connect


@click.group(cls=SuggestingGroup)
def corpora() -> None:
    """List, show, dump, load, rebatch and delete corpora."""


def _client(settings_file: Path | None, broker: str | None) -> Client:
    return connect(settings(settings_file, broker=broker).access)


@corpora.command("list")
@settings_option
@broker_option
@json_option
def list_(settings_file: Path | None, broker: str | None, as_json: bool) -> None:
    """List the corpora of the broker."""
    from millrace.listings import listed_corpus, to_json
    from millrace.no_broker import connect_to_existing
    from streams.catalog.corpora import list_corpora

    client = connect_to_existing(settings(settings_file, broker=broker).access)
    found = list_corpora(client)
    if as_json:
        click.echo(to_json(listed_corpus(record) for record in found))
        return
    for record in found:
        state = f"{record.tokens:,} tokens" if record.sealed else "not complete"
        click.echo(f"{record.name}  {state}  {record.tokenizer}")


@corpora.command()
@click.argument("name")
@settings_option
@broker_option
@json_option
def show(name: str, settings_file: Path | None, broker: str | None, as_json: bool) -> None:
    """Show what is known of a corpus, and how much of it the broker holds."""
    from dataclasses import asdict

    from millrace.listings import listed_corpus, to_json
    from streams import topics
    from streams.catalog.corpora import get_corpus

    client = _client(settings_file, broker)
    record = get_corpus(client, name)
    topic = topics.tokens(name, record.partitions).name
    ends = dict(sorted(client.ends(topic).items())) if topic in client.topics() else None
    if as_json:
        click.echo(to_json(listed_corpus(record, ends)))
        return
    for key, value in asdict(record).items():
        click.echo(f"{key}: {value}")
    if ends is None:
        click.echo(f"topic {topic} is not on the broker any more: delete the corpus and produce it")
    else:
        click.echo(f"records per partition: {', '.join(map(str, ends.values()))}")


@corpora.command()
@click.argument("name")
@yes_option
@settings_option
@broker_option
def delete(name: str, yes: bool, settings_file: Path | None, broker: str | None) -> None:
    """Delete a corpus: its batches and its record. Runs over it keep their snapshots.

    Says what goes and which unfinished runs need it, and asks.
    """
    from consumers.runs.deletion import plan_corpus_removal
    from producers.corpora import delete_corpus

    client = _client(settings_file, broker)
    for line in plan_corpus_removal(client, name).lines():
        click.echo(line)
    confirm(f"corpus {name}", yes=yes)
    delete_corpus(client, name)
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


@corpora.command()
@click.argument("name")
@click.argument("new")
@option(
    "--batch-size",
    "rows",
    type=click.IntRange(1, 2**16),
    show_default="2048, or what holds 262,144 tokens",
    help="Rows per token batch of the new corpus.",
)
@option(
    "--partitions",
    type=click.IntRange(1, 4096),
    show_default="as the other",
    help="Partitions of the new corpus.",
)
@settings_option
@broker_option
def rebatch(
    name: str,
    new: str,
    rows: int | None,
    partitions: int | None,
    settings_file: Path | None,
    broker: str | None,
) -> None:
    """Make a corpus NEW of the rows of corpus NAME, in batches of another size.

    A GPU is fastest on large batches. Rows keep their order and sample keys, so that a run over NEW
    finds the same, at other places. What broke off goes on when it is called again.
    """
    from millrace.producing import rebatch as rebatch_corpus

    record = rebatch_corpus(_client(settings_file, broker), name, new, rows, partitions)
    click.echo(f"corpus {record.name}: {record.rows:,} rows in {record.batches:,} batches")
