"""``millrace embed``: vectors of labels and contexts, for searches by concept."""

from typing import Any

import click

from millrace.options import option, run_option, sentence_model_option


@click.command()
@click.argument("snapshot")
@run_option
@option("--name", default="default", show_default=True, help="Name of the attachment.")
@sentence_model_option
@option(
    "--contexts",
    type=click.IntRange(1, 50),
    default=5,
    show_default=True,
    help="Strongest contexts of a cluster that are read as one text.",
)
def embed(snapshot: str, run_name: str | None, **values: Any) -> None:
    """Attach vectors of labels and contexts to a finished SNAPSHOT.

    A small sentence model reads the label of every feature and cluster, what people wrote before
    what programs made, and its strongest contexts. The dashboard then finds features by what a
    search such as `concept: legal language` means. Make labels first (millrace label), and embed
    again when there are others.
    """
    from millrace.embedding import embed_clusters

    for line in embed_clusters(snapshot, run_name, **values):
        click.echo(line)
