"""``millrace compare-models``: features of several models by the text at which they are active."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from millrace.options import option
from millrace.verbs.asking_options import expect_file, format_options

if TYPE_CHECKING:
    from millrace.answer_files import Form


@click.command("compare-models")
@click.argument("snapshots", nargs=-1, metavar="SNAPSHOT SNAPSHOT...")
@option(
    "--top", type=click.IntRange(1), default=20, show_default=True, help="Matches that are shown."
)
@option(
    "--table",
    type=click.Choice(["model_matches", "shared_texts"]),
    default="model_matches",
    show_default=True,
    help="What CSV and Parquet hold.",
)
@format_options
def compare_models(
    snapshots: tuple[str, ...], top: int, table: str, form: "Form", out: Path | None
) -> None:
    """Match features of several models' runs by the text at which they are active.

    Each SNAPSHOT is a store of one run, or the folder or manifest of a run or a snapshot; the runs
    read the same documents, each with its model's tokenizer. What is compared is the text of stored
    rows that two runs share, and how much that is is said.
    """
    if len(snapshots) < 2:
        raise click.UsageError("name two snapshots or more")
    expect_file(form, out)
    from downstream.analysis.models import compare_models as compare
    from downstream.reading.snapshot import open_snapshot
    from millrace.answer_files import put
    from millrace.model_comparison import written_models

    found = compare([open_snapshot(each) for each in snapshots])
    put(written_models(found, form, table, top), out)
