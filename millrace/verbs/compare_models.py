"""``millrace compare-models``: features of several models by the text at which they are active."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from millrace.answer_table_names import TABLES
from millrace.options import option
from millrace.verbs.asking_options import (
    expect_file,
    format_options,
    keep_option,
    record_option,
)

if TYPE_CHECKING:
    from millrace.answer_files import Form


@click.command("compare-models")
@click.argument("snapshots", nargs=-1, metavar="SNAPSHOT SNAPSHOT...")
@option(
    "--top", type=click.IntRange(1), default=20, show_default=True, help="Matches that are shown."
)
@option(
    "--table",
    type=click.Choice(TABLES["compare-models"]),
    default="model_matches",
    show_default=True,
    help="What CSV and Parquet hold.",
)
@record_option
@keep_option
@format_options
def compare_models(
    snapshots: tuple[str, ...],
    top: int,
    table: str,
    record: Path | None,
    keep: bool,
    form: "Form",
    out: Path | None,
) -> None:
    """Match features of several models' runs by the text at which they are active.

    Each SNAPSHOT is a store of one run, or the folder or manifest of a run or a snapshot; the runs
    read the same documents, each with its model's tokenizer. What is compared is the text of stored
    rows that two runs share, and how much that is is said.
    """
    if record is not None and snapshots:
        raise click.UsageError("a record says what is compared: leave out snapshots beside it")
    if record is None and len(snapshots) < 2:
        raise click.UsageError("name two snapshots or more")
    expect_file(form, out)
    from downstream.reading.snapshot import open_snapshot
    from millrace.answer_files import put
    from millrace.asked_records import keep_in
    from millrace.asking import now
    from millrace.comparison_answers import answered, answered_again
    from millrace.comparison_records import ModelsRecord, models_record, record_in

    if record is not None:
        put(answered_again(record_in(record, ModelsRecord), now(), form, table), out)
        return
    read = [open_snapshot(each) for each in snapshots]
    wanted = models_record(read, top, now())
    data = answered(wanted, read, form, table)
    if keep:
        keep_in(wanted.runs[0].store, wanted)
    put(data, out)
