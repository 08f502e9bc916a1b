"""``millrace diff``: what changed between two snapshots."""

import click

from millrace.options import json_option, option


@click.command()
@click.argument("a")
@click.argument("b")
@option(
    "--k", type=click.IntRange(0), default=20, show_default=True, help="Clusters shown, at most."
)
@option("--attach", is_flag=True, help="Attach the whole comparison to B, which must be final.")
@json_option
def diff(a: str, b: str, k: int, attach: bool, as_json: bool) -> None:
    """Compare snapshot A with B: which clusters changed, which examples came and went.

    A and B are manifests, or folders of a snapshot, a run or a store of one run. Clusters are
    matched by clustering, iteration and label, so that two runs can be compared, too.
    """
    from millrace.comparing import as_text, attached, compared, to_json

    found = compared(a, b, k)
    if attach:
        attached(found)
    click.echo(to_json(found) if as_json else as_text(found))
