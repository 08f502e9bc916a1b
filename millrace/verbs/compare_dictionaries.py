"""``millrace compare-dictionaries``: the dictionaries of a run, from its snapshot alone."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from millrace.answer_table_names import TABLES
from millrace.options import option, run_option, stacked
from millrace.verbs.asking_options import (
    expect_file,
    format_options,
    keep_option,
    record_option,
)

if TYPE_CHECKING:
    from millrace.answer_files import Form

_SHARE = click.FloatRange(0, 1)
_thresholds = stacked(
    option(
        "--least",
        type=click.IntRange(1),
        default=20,
        show_default=True,
        help="Tokens at which a selective feature or a specialist is active, at least.",
    ),
    option(
        "--share",
        type=_SHARE,
        default=0.5,
        show_default=True,
        help="Share of its active tokens that a specialist has in its domain, at least.",
    ),
    option(
        "--ratio",
        type=click.FloatRange(0),
        default=2.0,
        show_default=True,
        help="Times the domain's share of tokens that this is, at least.",
    ),
    option(
        "--decoder",
        type=_SHARE,
        default=0.7,
        show_default=True,
        help="Cosine of decoder directions from which on a feature is shared.",
    ),
    option(
        "--coactivation",
        type=_SHARE,
        default=0.3,
        show_default=True,
        help="Jaccard index of active tokens from which on it is.",
    ),
    option(
        "--contexts",
        type=_SHARE,
        default=0.2,
        show_default=True,
        help="Jaccard index of max-activating examples from which on it is.",
    ),
)


@click.command("compare-dictionaries")
@click.argument("snapshot", required=False)
@run_option
@option("--only", metavar="SOURCE", multiple=True, help="A dictionary to compare; else all.")
@option("--top", type=click.IntRange(1, 10_000), default=5, show_default=True, help="Of each list.")
@_thresholds
@option("--weights/--no-weights", default=True, help="Read decoder directions, where they lie.")
@option(
    "--dictionary",
    "places",
    metavar="SOURCE=FOLDER",
    multiple=True,
    show_default="where the run says",
    help="Where a dictionary lies now; may be repeated.",
)
@option(
    "--table",
    type=click.Choice(TABLES["compare-dictionaries"]),
    default="leaders",
    show_default=True,
    help="What CSV and Parquet hold.",
)
@record_option
@keep_option
@format_options
def compare_dictionaries(
    snapshot: str | None,
    run_name: str | None,
    only: tuple[str, ...],
    top: int,
    least: int,
    share: float,
    ratio: float,
    decoder: float,
    coactivation: float,
    contexts: float,
    weights: bool,
    places: tuple[str, ...],
    table: str,
    record: Path | None,
    keep: bool,
    form: "Form",
    out: Path | None,
) -> None:
    """Compare the dictionaries of a run: their strongest, most frequent and most selective
    features, specialists by domain, which features are shared, reconstruction and L0.

    SNAPSHOT is a store, or the folder or manifest of a run or a snapshot. All of it comes from what
    is stored; decoder directions from the weights.
    """
    if (record is None) == (snapshot is None):
        raise click.UsageError("name a snapshot, or a --record that says what is compared")
    expect_file(form, out)
    from downstream.analysis.dictionaries import Choices
    from downstream.reading.snapshot import open_snapshot
    from millrace.answer_files import put
    from millrace.asked_records import keep_in
    from millrace.asking import now
    from millrace.comparison_answers import answered, answered_again
    from millrace.comparison_records import (
        DictionariesRecord,
        dictionaries_record,
        record_in,
    )
    from millrace.deriving import places as places_of

    if record is not None:
        put(answered_again(record_in(record, DictionariesRecord), now(), form, table), out)
        return
    read = open_snapshot(str(snapshot), run_name)
    choices = Choices(top, least, share, ratio, decoder, coactivation, contexts)
    found = places_of(places, "--dictionary")
    wanted = dictionaries_record(read, choices, only, weights, found, now())
    data = answered(wanted, [read], form, table)
    if keep:
        keep_in(wanted.store, wanted)
    put(data, out)
