"""``millrace run``."""

from pathlib import Path
from typing import Any

import click

from millrace.options import (
    broker_option,
    corpus_options,
    corpus_values,
    device_option,
    given,
    run_option,
    settings,
    settings_option,
    stacked,
    store_option,
)

_run_options = stacked(
    click.option("--model", help="transformer-lens name or local folder."),
    click.option(
        "--dictionary",
        "dictionaries",
        multiple=True,
        help="Folder of a SAELens dictionary, or RELEASE#ID; may be repeated.",
    ),
    click.option(
        "--clusters", "clusterings", multiple=True, help="Cluster file (JSON); may be repeated."
    ),
    click.option("--k", type=int, help="Contexts kept per cluster and criterion."),
    click.option("--micro-batch", type=int, help="Rows per forward pass."),
    click.option("--workers", type=int, default=1, show_default=True, help="Workers of each kind."),
    click.option("--serve/--no-serve", default=False, help="Show the result as pages at the end."),
    click.option("--port", type=int, default=8080, show_default=True, help="Port of the pages."),
)


@click.command()
@corpus_options
@settings_option
@broker_option
@store_option
@run_option
@device_option
@_run_options
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
    micro_batch: int | None,
    workers: int,
    serve: bool,
    port: int,
    **values: Any,
) -> None:
    """Turn TEXT into dashboard data in one process, with workers of every kind inside it.

    By default everything happens in memory (memory://); with --broker kafka://... the same workers
    use Kafka, and others can join. TEXT is as for produce; without it the corpus must exist.
    """
    from millrace.pages import serve_pages
    from millrace.whole import manifest_path, run_whole

    chosen = settings(
        settings_file,
        broker=broker,
        store=store,
        run=given({"name": run_name, "k": k}),
        corpus=given(corpus_values(**values)),
        model=given({"path": model, "device": device, "micro_batch": micro_batch}),
        dictionaries=[_dictionary(d, n) for n, d in enumerate(dictionaries)] or None,
        clusterings=[{"path": path} for path in clusterings] or None,
    )
    manifest = run_whole(chosen, workers)
    if serve:
        serve_pages(manifest_path(manifest), chosen.broker, "127.0.0.1", port)


def _dictionary(location: str, number: int) -> dict[str, str]:
    name = "sae" if number == 0 else f"sae-{number + 1}"
    release, separator, inner = location.partition("#")
    if separator:
        return {"name": name, "release": release, "id": inner}
    return {"name": name, "path": location}
