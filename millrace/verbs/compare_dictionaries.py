"""``millrace compare-dictionaries``: the dictionaries of a run, from its snapshot alone."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from millrace.options import option, run_option, stacked
from millrace.verbs.asking_options import expect_file, format_options

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
@click.argument("snapshot")
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
    type=click.Choice(["dictionaries", "leaders", "specialists", "overlap", "matches"]),
    default="leaders",
    show_default=True,
    help="What CSV and Parquet hold.",
)
@format_options
def compare_dictionaries(
    snapshot: str,
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
    form: "Form",
    out: Path | None,
) -> None:
    """Compare the dictionaries of a run: their strongest, most frequent and most selective
    features, specialists by domain, which features are shared, reconstruction and L0.

    SNAPSHOT is a store, or the folder or manifest of a run or a snapshot. All of it comes from what
    is stored; decoder directions from the weights.
    """
    expect_file(form, out)
    from downstream.analysis.dictionaries import Choices
    from downstream.analysis.dictionaries import compare_dictionaries as compare
    from downstream.reading.snapshot import open_snapshot
    from millrace.answer_files import put
    from millrace.deriving import places as places_of
    from millrace.dictionary_comparison import written_dictionaries
    from millrace.dictionary_loading import loader

    choices = Choices(top, least, share, ratio, decoder, coactivation, contexts)
    opened = open_snapshot(snapshot, run_name)
    load = loader(places_of(places, "--dictionary")) if weights else None
    found = compare(opened, load, choices, only=only)
    put(written_dictionaries(found, opened, form, table), out)
