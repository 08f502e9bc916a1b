"""``millrace oracle``."""

from pathlib import Path

import click

from millrace.options import (
    broker_option,
    device_option,
    given,
    run_option,
    settings,
    settings_option,
)


@click.command()
@settings_option
@broker_option
@run_option
@device_option
@click.option(
    "--dump",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read the batches from this dump of the corpus instead of its topic.",
)
@click.option(
    "--out",
    metavar="FOLDER",
    help="Also write the tables, as a snapshot of its own, to this folder.",
)
def oracle(
    settings_file: Path | None,
    broker: str | None,
    run_name: str | None,
    device: str | None,
    dump: Path | None,
    out: str | None,
) -> None:
    """Compute a run's dashboard data in one plain process and print its content hash.

    It keeps everything in memory and sorts at the end: meant for comparing, not for speed.
    """
    from consumers.oracle.oracle_run import run_oracle
    from consumers.snapshots.snapshots import write_plain
    from streams.catalog.runs import get_run
    from streams.snapshots.content import content_hash
    from streams.transport.connect import connect

    chosen = settings(
        settings_file,
        broker=broker,
        run=given({"name": run_name}),
        model=given({"device": device}),
    )
    client = connect(chosen.access)
    record = get_run(client, chosen.run.name)
    plan, tables = run_oracle(client, record, chosen.model.device, dump)
    if out:
        write_plain(plan, tables, "oracle", out)
    click.echo(f"content {content_hash(tables)}")
