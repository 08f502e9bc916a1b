"""``millrace tune``: micro-batch and dtype measured on this machine."""

from pathlib import Path
from typing import Any

import click

from millrace.corpus_options import corpus_options, corpus_values
from millrace.options import (
    broker_option,
    device_option,
    dictionary_values,
    given,
    option,
    settings,
    settings_option,
    sources_options,
    stacked,
)

_tune_options = stacked(
    option(
        "--dtype",
        "dtypes",
        type=click.Choice(["float32", "bfloat16", "float16"]),
        multiple=True,
        show_default="float32 and bfloat16; on cuda float16, too",
        help="Dtype to measure; may be repeated. The first is what others are compared with.",
    ),
    option(
        "--seconds",
        type=click.FloatRange(min=0),
        default=60.0,
        show_default=True,
        help="Time for each dtype, about; each size is timed three times in any case.",
    ),
    option("--json", "as_json", is_flag=True, help="Print JSON instead of a table."),
)


@click.command()
@corpus_options
@settings_option
@broker_option
@device_option
@sources_options
@_tune_options
def tune(
    settings_file: Path | None,
    broker: str | None,
    device: str | None,
    model: str | None,
    dictionaries: tuple[str, ...],
    dtypes: tuple[str, ...],
    seconds: float,
    as_json: bool,
    **values: Any,
) -> None:
    """Measure micro-batch sizes and dtypes for a run's model and dictionaries on this machine.

    Rows come from the corpus, from TEXT, or are random. Nothing is written. The best is the
    smallest size within 3 % of the fastest; set it as model.micro_batch. Sizes that would not fit
    the memory are foreseen and left out.
    """
    from millrace.tuning import tuned
    from millrace.tuning_report import advice_json, print_advice

    chosen = settings(
        settings_file,
        broker=broker,
        corpus=given(corpus_values(**values)),
        model=given({"path": model, "device": device}),
        dictionaries=dictionary_values(dictionaries),
    )
    found = tuned(chosen, dtypes, seconds)
    if as_json:
        click.echo(advice_json(found))
    else:
        print_advice(found)
