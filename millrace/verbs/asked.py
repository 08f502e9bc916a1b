"""``millrace asked``: what was asked of models and snapshots, listed, shown and asked again."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millrace.answer_table_names import TABLES
from millrace.did_you_mean import SuggestingGroup
from millrace.options import (
    device_option,
    given,
    json_option,
    option,
    run_option,
    settings,
    settings_option,
    stacked,
    store_option,
)
from millrace.verbs.asking_options import expect_file, format_options

if TYPE_CHECKING:
    from millrace.answer_files import Form
    from millrace.settings import Settings

_of_store = stacked(
    option(
        "--snapshot",
        metavar="PLACE",
        help="Records of the store that this snapshot lies in: a store, a run or a snapshot.",
    ),
    store_option,
    run_option,
    settings_option,
)


@click.group(cls=SuggestingGroup)
def asked() -> None:
    """List and ask again what was asked: the newest 1,000 records of a store.

    ask, concept, steer, ablate, compare-dictionaries, compare-models and serve-model keep them,
    unless --no-keep says not to.
    """


@asked.command("list")
@_of_store
@option("--last", type=click.IntRange(1), default=20, show_default=True, help="So many, at most.")
@json_option
@format_options
def list_(
    last: int,
    as_json: bool,
    form: "Form",
    out: Path | None,
    snapshot: str | None,
    **values: Any,
) -> None:
    """List what was asked, the newest first; how an ID begins is enough for the other commands."""
    form = "json" if as_json else form
    expect_file(form, out)
    from itertools import islice

    from millrace.answer_files import put
    from millrace.asked_list import written_list
    from millrace.asked_records import entries, log_of

    found = [*islice(entries(log_of(_settings(**values), snapshot)), last)]
    put(written_list(found, form), out)


@asked.command()
@click.argument("entry", metavar="ID")
@_of_store
def show(entry: str, snapshot: str | None, **values: Any) -> None:
    """Print the record of an ID as JSON, which --record of the verb that asked takes."""
    from millrace.asked_records import as_json, log_of, read

    click.echo(as_json(read(log_of(_settings(**values), snapshot), entry)), nl=False)


@asked.command()
@click.argument("entry", metavar="ID")
@_of_store
@device_option
@format_options
@option(
    "--table",
    type=click.Choice([name for names in TABLES.values() for name in names]),
    show_default="the first of its verb",
    help="What CSV and Parquet hold, of an answer that has several tables.",
)
def run(
    entry: str,
    snapshot: str | None,
    device: str | None,
    form: "Form",
    out: Path | None,
    table: str | None,
    **values: Any,
) -> None:
    """Ask again what the record of an ID says, of the same weights."""
    expect_file(form, out)
    from millrace.answer_files import put
    from millrace.asked_records import answered_again, log_of, read

    chosen = _settings(**values, device=device)
    put(answered_again(chosen, read(log_of(chosen, snapshot), entry), form, table), out)


def _settings(
    settings_file: Path | None,
    run_name: str | None,
    store: str | None,
    device: str | None = None,
) -> "Settings":
    return settings(
        settings_file,
        store=store,
        run=given({"name": run_name}),
        model=given({"device": device}),
    )
