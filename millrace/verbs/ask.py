"""``millrace ask``: which features are active on texts of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millrace.options import (
    broker_option,
    device_option,
    dictionary_values,
    given,
    option,
    run_option,
    settings,
    settings_option,
    sources_options,
    stacked,
)
from streams.asking.question import ORDERS, Order, Question

if TYPE_CHECKING:
    from millrace.answer_files import Form
    from millrace.settings import Settings

_TABLES = ("features", "totals", "tokens", "values")

model_options = stacked(
    option(
        "--snapshot",
        metavar="PLACE",
        help="Ask the model of this snapshot: folder or address of a store, a run or a snapshot.",
    ),
    run_option,
    settings_option,
    broker_option,
    device_option,
    sources_options,
    option(
        "--tokenizer",
        metavar="NAME|FOLDER",
        show_default="the model's",
        help="Tokenizer, where neither a broker nor the model's folder has it.",
    ),
)

_question_options = stacked(
    option(
        "--file",
        "files",
        type=click.Path(allow_dash=True, path_type=Path),
        metavar="FILE",
        multiple=True,
        help="Ask about the text in FILE, or on standard input (-), too; may be repeated.",
    ),
    option("--lines", is_flag=True, help="Each line of a FILE that is not blank is a text."),
    option(
        "--top",
        type=click.IntRange(0, 10_000),
        default=10,
        show_default=True,
        help="Features listed of each dictionary, for each text and over all.",
    ),
    option(
        "--per-token",
        type=click.IntRange(0, 100),
        default=3,
        show_default=True,
        help="Features listed of each dictionary at each token.",
    ),
    option(
        "--by",
        type=click.Choice(ORDERS),
        default="total",
        show_default=True,
        help="Order features by the sum of activations, the largest, the tokens at which they are "
        "active, or the activation at the last token.",
    ),
    option(
        "--feature",
        "features",
        metavar="SOURCE:INDEX",
        multiple=True,
        help="Give this feature's activation at every token; may be repeated.",
    ),
)

format_options = stacked(
    option(
        "--format",
        "form",
        type=click.Choice(["table", "json", "csv", "parquet"]),
        default="table",
        show_default=True,
        help="A page for people; all as JSON, with the record of what was asked; or a table.",
    ),
    option(
        "--out",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        show_default="standard output",
        help="Write the answer to FILE.",
    ),
)

_output_options = stacked(
    format_options,
    option(
        "--table",
        type=click.Choice(_TABLES),
        default="features",
        show_default=True,
        help="What CSV and Parquet hold: features of each text, over all, at each token, or values "
        "of each FEATURE.",
    ),
    option(
        "--save-record",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Also write what was asked, with hashes and versions, to FILE.",
    ),
)


@click.command()
@click.argument("text", nargs=-1)
@model_options
@_question_options
@option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Ask again what FILE says: a record, or an answer as JSON.",
)
@_output_options
def ask(
    text: tuple[str, ...],
    snapshot: str | None,
    files: tuple[Path, ...],
    lines: bool,
    record: Path | None,
    form: "Form",
    table: str,
    out: Path | None,
    save_record: Path | None,
    top: int,
    per_token: int,
    by: Order,
    features: tuple[str, ...],
    **values: Any,
) -> None:
    """Show which features are most active on each TEXT, in total and at each token.

    Texts are read as the run reads its corpus: same tokenizer, BOS, masks, dtype and forward pass,
    all dictionaries at once. The model is that of a snapshot, of a run that the broker knows, or
    what --settings, --model and --dictionary name. What was asked can be asked again.
    """
    expect_file(form, out)
    if record is not None and (text or files or features):
        raise click.UsageError("a record holds its question: leave out TEXT, --file and --feature")
    from consumers.asking.record import record_json
    from millrace.answer_files import put, written
    from millrace.asking import ask_again, ask_texts, texts_of

    chosen = model_settings(**values)
    if record is not None:
        answer, kept = ask_again(chosen, record)
    else:
        texts = (*text, *texts_of(files, lines))
        question = Question(texts, top, per_token, by, features)
        answer, kept = ask_texts(chosen, snapshot, question)
    if save_record is not None:
        save_record.write_bytes(record_json(kept))
    put(written(answer, kept, form, table), out)


def expect_file(form: "Form", out: Path | None) -> None:
    """Raise UsageError for Parquet without a file to write it to."""
    if form == "parquet" and out is None:
        raise click.UsageError("Parquet needs a file: --out FILE")


def model_settings(
    settings_file: Path | None,
    run_name: str | None,
    broker: str | None,
    device: str | None,
    model: str | None,
    dictionaries: tuple[str, ...],
    tokenizer: str | None,
) -> "Settings":
    """Return the settings that ``model_options`` ask for."""
    return settings(
        settings_file,
        broker=broker,
        run=given({"name": run_name}),
        corpus=given({"tokenizer": tokenizer}),
        model=given({"path": model, "device": device}),
        dictionaries=dictionary_values(dictionaries),
    )
