"""``millrace runs``."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from millrace.options import (
    broker_option,
    device_option,
    k_option,
    micro_batch_option,
    run_option,
    settings,
    settings_option,
    store_option,
)
from streams.transport.connect import connect


@click.group()
def runs() -> None:
    """Create, list, show and delete runs."""


@runs.command()
@settings_option
@broker_option
@store_option
@run_option
@device_option
@click.option("--corpus", metavar="NAME", show_default="corpus", help="Name of the corpus.")
@k_option
@micro_batch_option
def create(
    settings_file: Path | None,
    broker: str | None,
    store: str | None,
    run_name: str | None,
    device: str | None,
    corpus: str | None,
    k: int | None,
    micro_batch: int | str | None,
) -> None:
    """Create the run that the settings describe, after checking that all of it fits together.

    Says of every setting where it came from; what is not listed has its default.
    """
    from consumers.runs.creation import create_run
    from millrace.options import given
    from millrace.sampling import choice, sample_rows, settled_spec
    from millrace.settings import origins
    from streams.catalog import get_corpus
    from streams.run_catalog import put_run
    from streams.runs import run_id
    from streams.store import open_store

    options: dict[str, Any] = {
        "broker": broker,
        "store": store,
        "run": given({"name": run_name, "k": k}),
        "corpus": given({"name": corpus}),
        "model": given({"device": device, "micro_batch": micro_batch}),
    }
    chosen = settings(settings_file, **options)
    open_store(chosen.store)
    client = connect(chosen.broker)
    record = get_corpus(client, chosen.corpus.name)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    spec = settled_spec(client, chosen)
    made = create_run(spec, record, now, sample_rows(client, chosen, spec))
    put_run(client, made)
    for line in origins(settings_file, options=given(options)):
        click.echo(line)
    if chosen.has_auto():
        click.echo(choice(made))
    click.echo(f"run {made.name} over corpus {made.corpus}: id {run_id(made)}")


@runs.command("list")
@settings_option
@broker_option
def list_(settings_file: Path | None, broker: str | None) -> None:
    """List the runs of the broker."""
    from streams.run_catalog import list_runs

    for record in list_runs(connect(settings(settings_file, broker=broker).broker)):
        sources = ", ".join(source.name for source in record.sources)
        click.echo(f"{record.name}  corpus {record.corpus}  {record.model.location}  {sources}")


@runs.command()
@click.argument("name")
@settings_option
@broker_option
def show(name: str, settings_file: Path | None, broker: str | None) -> None:
    """Show a run: what it is, how far each side has come, and its snapshots.

    Ends with status 1 if the run has failed.
    """
    from consumers.health.watching import progress_lines
    from consumers.snapshots.verdict import expect_not_failed
    from streams.plan import make_plan
    from streams.run_catalog import get_run

    client = connect(settings(settings_file, broker=broker).broker)
    record = get_run(client, name)
    for line in progress_lines(client, record):
        click.echo(line)
    expect_not_failed(client, make_plan(record))


@runs.command()
@click.argument("name")
@settings_option
@broker_option
def delete(name: str, settings_file: Path | None, broker: str | None) -> None:
    """Delete a run: topics, state and published manifests. The corpus and the files stay."""
    from streams.run_catalog import delete_run, get_run

    client = connect(settings(settings_file, broker=broker).broker)
    record = get_run(client, name)
    delete_run(client, record)
    click.echo(f"run {name} deleted; its files stay in {record.store}/{name}")
