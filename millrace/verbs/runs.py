"""``millrace runs``: runs created, listed, shown, deleted."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from millrace.confirmation import confirm, yes_option
from millrace.did_you_mean import SuggestingGroup
from millrace.options import (
    broker_option,
    device_option,
    json_option,
    micro_batch_option,
    number_values,
    rankings_option,
    replace_option,
    run_option,
    settings,
    settings_option,
    statistics_option,
    store_option,
    without_option,
)
from streams.errors import BrokerError, NotFiniteError, RunError, UnreadableRunError
from streams.transport.connect import connect


@click.group(cls=SuggestingGroup)
def runs() -> None:
    """Create, list, show and delete runs."""


@runs.command()
@settings_option
@broker_option
@store_option
@run_option
@device_option
@click.option("--corpus", metavar="NAME", show_default="corpus", help="Name of the corpus.")
@rankings_option
@statistics_option
@without_option
@micro_batch_option
@replace_option
def create(
    settings_file: Path | None,
    broker: str | None,
    store: str | None,
    run_name: str | None,
    device: str | None,
    corpus: str | None,
    k: int | None,
    rankings: tuple[str, ...],
    statistics: tuple[str, ...],
    without: tuple[str, ...],
    micro_batch: int | str | None,
    replace: bool,
) -> None:
    """Create the run that the settings describe, after checking that all of it fits together.

    Says of every setting where it came from; what is not listed has its default. A few rows are
    computed, and what they say is printed in short; millrace check says more.
    """
    from consumers.runs.creation import prepare_run
    from consumers.runs.replacing import earlier_run
    from millrace.auto_settings import choice, first_batch, settled_spec
    from millrace.check_report import short
    from millrace.checking import report_on
    from millrace.options import given
    from millrace.settings import origins
    from streams.catalog.corpora import get_corpus
    from streams.catalog.runs import put_run
    from streams.lost_input import expect_whole
    from streams.records.run_identity import identity
    from streams.snapshots.store import open_store

    options: dict[str, Any] = {
        "broker": broker,
        "store": store,
        "run": given({"name": run_name, **number_values(k, rankings, statistics, without)}),
        "corpus": given({"name": corpus}),
        "model": given({"device": device, "micro_batch": micro_batch}),
    }
    chosen = settings(settings_file, **options)
    open_store(chosen.store)
    client = connect(chosen.access)
    earlier = earlier_run(client, chosen.store, chosen.run_name, replacing=replace)
    record = get_corpus(client, chosen.corpus.name)
    expect_whole(client, record.name)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    spec = settled_spec(client, chosen)
    sample = first_batch(client, record, None)
    engine = prepare_run(spec, record, now, lambda: sample)
    made = engine.plan.run
    try:
        found = list(short(report_on(engine, record, (), sample)))
    except (NotFiniteError, RunError) as error:  # of a few rows: the run may be right all the same
        found = [f"not checked: {error}"]
    if earlier is not None:
        earlier.remove()
        found.append(f"removed: {earlier.line}")
    put_run(client, made)
    for line in origins(settings_file, options=given(options)):
        click.echo(line)
    if chosen.has_auto():
        click.echo(choice(made))
    for line in found:
        click.echo(line)
    click.echo(f"run {made.name} over corpus {made.corpus}: identity {identity(made)}")


@runs.command("list")
@settings_option
@broker_option
@store_option
@json_option
def list_(settings_file: Path | None, broker: str | None, store: str | None, as_json: bool) -> None:
    """List the runs of the broker; without a broker, the snapshots that lie in the store."""
    from millrace.listings import RunList, listed_run, to_json
    from millrace.no_broker import ADVICE, is_absent
    from streams.catalog.runs import list_runs
    from streams.snapshots.stored_snapshots import find_snapshots

    chosen = settings(settings_file, broker=broker, store=store)
    client = connect(chosen.access)
    absent = is_absent(chosen.access, client)
    found = RunList(
        tuple(listed_run(record) for record in list_runs(client)),
        tuple(find_snapshots(chosen.store)) if absent else (),
    )
    if absent and not found.stored:
        raise BrokerError(
            f"{ADVICE.format(url=chosen.broker)}. There is no snapshot in {chosen.store} either"
        )
    if as_json:
        click.echo(to_json(found))
        return
    if absent:
        click.echo(ADVICE.format(url=chosen.broker), err=True)
    for run in found.runs:
        click.echo(f"{run.name}  corpus {run.corpus}  {run.model}  {', '.join(run.sources)}")
    for one in found.stored:
        kind = one.problem or f"{'final' if one.final else 'mid-run'}, {one.created}"
        click.echo(f"{one.run}  snapshot {one.snapshot}  {kind}  {one.manifest}")


@runs.command()
@click.argument("name")
@settings_option
@broker_option
@click.option(
    "--rate-seconds",
    type=click.FloatRange(min=0, max=600),
    default=3.0,
    show_default=True,
    help="How long to measure the rate of an unfinished run, for its ETA; 0 measures none.",
)
@json_option
def show(
    name: str,
    settings_file: Path | None,
    broker: str | None,
    rate_seconds: float,
    as_json: bool,
) -> None:
    """Show a run: what it is, how far each side has come and how fast, and its snapshots.

    Ends with status 1 if the run has failed.
    """
    from consumers.health.run_status import run_status, status_lines
    from consumers.plan import make_plan
    from consumers.snapshots.verdict import expect_not_failed
    from millrace.listings import to_json
    from streams.catalog.runs import get_run

    client = connect(settings(settings_file, broker=broker).access)
    record = get_run(client, name)
    status = run_status(client, record, rate_seconds)
    for line in [to_json(status)] if as_json else status_lines(status):
        click.echo(line)
    expect_not_failed(client, make_plan(record))


@runs.command()
@click.argument("name")
@click.option(
    "--keep-snapshots", is_flag=True, help="Leave the files of its snapshots, and kept activations."
)
@yes_option
@settings_option
@broker_option
def delete(
    name: str, keep_snapshots: bool, yes: bool, settings_file: Path | None, broker: str | None
) -> None:
    """Delete a run: topics, state, published manifests and the files of its snapshots.

    Says what goes and what stays, and asks. The corpus stays. Stop the run's workers first. A run
    whose record cannot be used is deleted by its name; its files stay.
    """
    from consumers.runs.deletion import RunRemoval, plan_run_removal, remove_run
    from consumers.runs.unreadable import UnreadableRunRemoval, plan_unreadable_removal
    from streams.catalog.runs import delete_run, get_run
    from streams.names import check_name

    check_name(name, "run")
    client = connect(settings(settings_file, broker=broker).access)
    removal: RunRemoval | UnreadableRunRemoval
    try:
        removal = plan_run_removal(client, get_run(client, name), keep_files=keep_snapshots)
    except UnreadableRunError as error:
        removal = plan_unreadable_removal(client, name, str(error))
    for line in removal.lines():
        click.echo(line)
    confirm(f"run {name}", yes=yes)
    if isinstance(removal, UnreadableRunRemoval):
        delete_run(client, name)
    else:
        remove_run(client, removal)
    click.echo(f"run {name} deleted")
