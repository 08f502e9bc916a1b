"""``millrace derive``: attachments to a finished snapshot, from it and from weights."""

from typing import TYPE_CHECKING

import click

from millrace.options import option, run_option

if TYPE_CHECKING:
    from downstream.derived.derivation import Projection


@click.command()
@click.argument("kind")
@click.argument("snapshot")
@run_option
@option("--name", default="default", show_default=True, help="Name of the attachment.")
@option("--model", metavar="FOLDER", show_default="the run's", help="Folder of the run's model.")
@option(
    "--dictionary",
    "dictionaries",
    metavar="SOURCE=FOLDER",
    multiple=True,
    show_default="where the run says",
    help="Where a source of the run lies now; may be repeated.",
)
@option(
    "--other",
    "others",
    metavar="NAME=FOLDER",
    multiple=True,
    help="Another dictionary, to find neighbours in; may be repeated.",
)
@option(
    "--k",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="Tokens on each side, or neighbours.",
)
@option(
    "--map",
    "projection",
    type=click.Choice(["pca", "umap"]),
    default="pca",
    show_default=True,
    help="How feature_map is made; umap needs the package umap-learn.",
)
@option("--verify", is_flag=True, help="Refuse weights that are not what the run computed with.")
def derive(
    kind: str,
    snapshot: str,
    run_name: str | None,
    name: str,
    model: str | None,
    dictionaries: tuple[str, ...],
    others: tuple[str, ...],
    k: int,
    projection: "Projection",
    verify: bool,
) -> None:
    """Attach KIND to a finished SNAPSHOT: logit_lens, neighbours, norms, feature_map,
    geometry, tokens, coactivation, correlated_neurons, or all.

    SNAPSHOT is a store, or the folder or manifest of a run or a snapshot. Model and dictionaries
    are read where the run record says, as safetensors: they must be what the run computed with,
    which --verify checks with SAELens.
    """
    from downstream.derived.derivation import Options
    from millrace.deriving import derive_attachments, places

    for line in derive_attachments(
        kind,
        snapshot,
        run_name,
        name=name,
        model=model,
        dictionaries=places(dictionaries, "--dictionary"),
        others=places(others, "--other"),
        options=Options(k=k, projection=projection),
        verify=verify,
    ):
        click.echo(line)
