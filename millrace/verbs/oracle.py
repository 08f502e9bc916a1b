"""``millrace oracle``: the plain recomputation of a run."""

from pathlib import Path
from typing import Any

import click

from millrace.corpus_options import corpus_options, corpus_values
from millrace.options import (
    broker_option,
    clusters_option,
    device_option,
    dictionary_values,
    given,
    micro_batch_option,
    number_values,
    rankings_option,
    run_option,
    settings,
    settings_option,
    sources_options,
    statistics_option,
    without_option,
)


@click.command()
@corpus_options
@settings_option
@broker_option
@run_option
@device_option
@sources_options
@clusters_option
@rankings_option
@statistics_option
@without_option
@micro_batch_option
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
    model: str | None,
    dictionaries: tuple[str, ...],
    clusterings: tuple[str, ...],
    k: int | None,
    rankings: tuple[str, ...],
    statistics: tuple[str, ...],
    without: tuple[str, ...],
    micro_batch: int | str | None,
    dump: Path | None,
    out: str | None,
    **values: Any,
) -> None:
    """Compute a run's dashboard data in one plain process and print its content hash.

    A run that a broker knows is computed from its record. Without a broker the settings, or the
    same TEXT and options that millrace run had, say what to compute. It keeps everything in memory
    and sorts at the end: meant for comparing, not for speed.
    """
    from consumers.oracle.oracle_run import run_oracle
    from consumers.snapshots.snapshots import write_plain
    from millrace.no_broker import is_absent
    from streams.catalog.runs import get_run
    from streams.snapshots.content import content_hash
    from streams.transport.connect import connect

    chosen = settings(
        settings_file,
        broker=broker,
        run=given({"name": run_name, **number_values(k, rankings, statistics, without)}),
        corpus=given(corpus_values(**values)),
        model=given({"path": model, "device": device, "micro_batch": micro_batch}),
        dictionaries=dictionary_values(dictionaries),
        clusterings=[{"path": path} for path in clusterings] or None,
    )
    client = connect(chosen.access)
    if chosen.model.path and is_absent(chosen.access, client):
        from millrace.plain_oracle import oracle_from_settings

        plan, tables = oracle_from_settings(client, chosen, dump)
    else:
        record = get_run(client, chosen.run_name)
        trusted = chosen.trusted_sources()
        plan, tables = run_oracle(client, record, chosen.model.device, dump, trusted)
    if out:
        write_plain(plan, tables, "oracle", out)
    click.echo(f"content {content_hash(tables, plan.forms)}")
