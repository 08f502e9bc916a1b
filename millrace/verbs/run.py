"""``millrace run``: the whole service in one process."""

from pathlib import Path
from typing import Any

import click

from millrace.corpus_options import corpus_options, corpus_values
from millrace.monitoring import log_format_option
from millrace.options import (
    broker_option,
    clusters_option,
    device_option,
    dictionary_values,
    given,
    micro_batch_option,
    number_values,
    option,
    port_option,
    rankings_option,
    replace_option,
    run_option,
    settings,
    settings_option,
    sources_options,
    stacked,
    statistics_option,
    store_option,
    without_option,
)

_run_options = stacked(
    sources_options,
    clusters_option,
    rankings_option,
    statistics_option,
    without_option,
    micro_batch_option,
    option(
        "--workers",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Workers of each kind.",
    ),
    replace_option,
    option(
        "--dump",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Also write the corpus to this file, for millrace oracle --dump.",
    ),
    option("--serve/--no-serve", default=False, help="Show the result as pages at the end."),
    port_option,
)


@click.command()
@corpus_options
@settings_option
@broker_option
@store_option
@run_option
@device_option
@_run_options
@log_format_option
def run(
    settings_file: Path | None,
    broker: str | None,
    store: str | None,
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
    workers: int,
    replace: bool,
    dump: Path | None,
    serve: bool,
    port: int,
    **values: Any,
) -> None:
    """Turn TEXT into dashboard data in one process, with workers of every kind inside it.

    By default everything happens in memory (memory://); with --broker kafka://... the same workers
    use Kafka, and others can join. TEXT is as for produce; without it the corpus must exist.
    Ends with status 1 if more of the text was refused than [limits] allow.
    """
    from consumers.snapshots.verdict import expect_few_refused
    from millrace.dashboard_server import expect_port, serve_pages
    from millrace.in_process import manifest_path, run_in_process

    chosen = settings(
        settings_file,
        broker=broker,
        store=store,
        run=given({"name": run_name, **number_values(k, rankings, statistics, without)}),
        corpus=given(corpus_values(**values)),
        model=given({"path": model, "device": device, "micro_batch": micro_batch}),
        dictionaries=dictionary_values(dictionaries),
        clusterings=[{"path": path} for path in clusterings] or None,
    )
    if serve:
        expect_port("127.0.0.1", port)
    manifest = run_in_process(chosen, workers, replacing=replace, dump=dump)
    if serve:
        serve_pages(manifest_path(manifest), chosen.access, "127.0.0.1", port)
    expect_few_refused(manifest)
