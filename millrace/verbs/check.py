"""``millrace check``: a report on a run before it is made."""

from pathlib import Path
from typing import Any

import click

from millrace.corpus_options import corpus_options, corpus_values
from millrace.options import (
    broker_option,
    device_option,
    dictionary_values,
    given,
    micro_batch_option,
    option,
    settings,
    settings_option,
    sources_options,
)


@click.command()
@corpus_options
@settings_option
@broker_option
@device_option
@sources_options
@micro_batch_option
@option("--json", "as_json", is_flag=True, help="Print JSON instead of a page.")
def check(
    settings_file: Path | None,
    broker: str | None,
    device: str | None,
    model: str | None,
    dictionaries: tuple[str, ...],
    micro_batch: int | str | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Load everything that a run names, compute a few rows, and say on one page what comes out.

    Tokenizer and BOS, hooks and widths, agreement with the published forward and with sae.encode,
    components per token against what the dictionary says, variance explained, memory, time and
    warnings. Rows come from the corpus, from TEXT, or are random. Nothing is written.
    """
    from millrace.check_report import as_json as report_json
    from millrace.check_report import page
    from millrace.checking import checked

    chosen = settings(
        settings_file,
        broker=broker,
        corpus=given(corpus_values(**values)),
        model=given({"path": model, "device": device, "micro_batch": micro_batch}),
        dictionaries=dictionary_values(dictionaries),
    )
    report = checked(chosen)
    if as_json:
        click.echo(report_json(report))
    else:
        for line in page(report):
            click.echo(line)
