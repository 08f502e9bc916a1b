"""``millrace ask``: which features are active on texts of one's own."""

from pathlib import Path

import click

from millrace.answer_table_names import TABLES
from millrace.options import option, stacked
from millrace.verbs.asking_options import Asked, asking
from streams.asking.question import ORDERS, Order, Question

_table_option = option(
    "--table",
    type=click.Choice(TABLES["ask"]),
    default="features",
    show_default=True,
    help="What CSV and Parquet hold: features of each text, over all, at each token, or values "
    "of each FEATURE.",
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


@click.command()
@click.argument("text", nargs=-1)
@_question_options
@asking
@_table_option
@option(
    "--save-record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write what was asked, with hashes and versions, to FILE.",
)
def ask(
    asked: Asked,
    text: tuple[str, ...],
    files: tuple[Path, ...],
    lines: bool,
    table: str,
    save_record: Path | None,
    top: int,
    per_token: int,
    by: Order,
    features: tuple[str, ...],
) -> None:
    """Show which features are most active on each TEXT, in total and at each token.

    Texts are read as the run reads its corpus: same tokenizer, BOS, masks, dtype and forward pass,
    all dictionaries at once. The model is that of a snapshot, of a run that the broker knows, or
    what --settings, --model and --dictionary name. What was asked is kept and can be asked again.
    """
    asked.expect_alone(text, files, features)
    from consumers.asking.record import record_json
    from millrace.answer_files import written
    from millrace.asking import ask_again, ask_texts, texts_of

    if asked.record is not None:
        answer, record = ask_again(asked.settings, asked.record)
    else:
        texts = (*text, *texts_of(files, lines))
        question = Question(texts, top, per_token, by, features)
        answer, record = ask_texts(asked.settings, asked.snapshot, question)
    asked.keep(record)
    if save_record is not None:
        save_record.write_bytes(record_json(record))
    asked.put(written(answer, record, asked.form, table))
