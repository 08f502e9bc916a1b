"""``millrace label``: labels of features and clusters, without or with a language model."""

import click

from millrace.options import run_option


@click.command()
@click.argument("snapshot")
@run_option
@click.option("--local", is_flag=True, help="Ask no language model: labels from tokens alone.")
def label(snapshot: str, run_name: str | None, local: bool) -> None:
    """Name the features and clusters of a finished SNAPSHOT.

    SNAPSHOT is a store, or the folder or manifest of a run or a snapshot. With --local every label
    is made of what is known already: the tokens at which a feature's best examples peak, those
    first that its neighbours do not have, and what it promotes by its logit lens, which
    `millrace derive neighbours` and `millrace derive logit_lens` attach. Labels are an attachment;
    pages show them where nobody wrote one.
    """
    from millrace.labelling import label_locally

    if not local:
        raise click.UsageError("say --local")
    for line in label_locally(snapshot, run_name):
        click.echo(line)
