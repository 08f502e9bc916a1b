"""``millrace cluster``: cluster files from decoder directions, co-activation, or others' merges."""

from pathlib import Path
from typing import Any

import click

from downstream.derived.clusterings.linkage import METHODS
from millrace.did_you_mean import SuggestingGroup
from millrace.options import option, run_option, stacked

_written = stacked(
    option("--out", metavar="FOLDER", default="clusters", show_default=True, help="Where to."),
    option("--name", metavar="NAME", help="Name of the clustering; by default how it was made."),
    option(
        "--min-size",
        type=click.IntRange(1),
        default=2,
        show_default=True,
        help="Leave smaller clusters out; single features are watched in any case.",
    ),
)
_cut = stacked(
    option(
        "--clusters",
        "counts",
        type=click.IntRange(1),
        multiple=True,
        required=True,
        help="How many clusters; may be repeated, for several iterations of one hierarchy.",
    ),
    option(
        "--method",
        type=click.Choice(METHODS),
        default="average",
        show_default=True,
        help="How SciPy's linkage measures the distance of two clusters.",
    ),
)


@click.group(cls=SuggestingGroup)
def cluster() -> None:
    """Make cluster files, which millrace run takes with --clusters.

    One file per iteration, NAME-ITERATION.json; an iteration is the number of merges that were
    made. A cluster is labelled by its first feature and keeps that label while it grows.
    """


@cluster.command()
@click.argument("dictionary")
@option("--source", default="sae", show_default=True, help="What the run calls the dictionary.")
@option("--encoder", is_flag=True, help="Take encoder directions.")
@_cut
@_written
def decoder(dictionary: str, **chosen: Any) -> None:
    """Cluster the features of DICTIONARY by the cosine of their decoder directions."""
    from millrace.clustering import by_directions

    _say(by_directions(dictionary, **chosen))


@cluster.command()
@click.argument("snapshot")
@run_option
@option("--source", metavar="NAME", help="Source; needed where the run has several.")
@_cut
@_written
def coactivation(snapshot: str, **chosen: Any) -> None:
    """Cluster features of a SNAPSHOT by the Jaccard index of the tokens at which they fire.

    Features that never fired are left out. The run must count their co-activation.
    """
    from millrace.clustering import by_coactivation

    _say(by_coactivation(snapshot, **chosen))


@cluster.command()
@click.argument("file", type=click.Path(path_type=Path))
@option(
    "--iteration",
    "iterations",
    type=click.IntRange(0),
    multiple=True,
    help="Iteration of a history; may be repeated. By default the last one.",
)
@option(
    "--source",
    "sources",
    metavar="MODULE=SOURCE",
    multiple=True,
    help="What the run calls a module; by default its name with - for each dot.",
)
@_written
def merges(file: Path, **chosen: Any) -> None:
    """Read SPD's mapping (JSON) or merge history (a zip), or a history in JSON, from FILE."""
    from millrace.clustering import by_merges

    _say(by_merges(file, **chosen))


def _say(lines: list[str]) -> None:
    for line in lines:
        click.echo(line)
