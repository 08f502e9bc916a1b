"""Options that say what text a corpus is made of and how, and how they become settings."""

from typing import Any

import click

from millrace.options import LONGEST_NUMBER, given, option, stacked


class Limit(click.ParamType):
    """``200documents`` or ``1000000tokens``; a bare number counts documents."""

    name = "N[documents|tokens]"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, int]:
        """Return the kind and the number."""
        if isinstance(value, tuple):
            return value
        digits = value.rstrip("abcdefghijklmnopqrstuvwxyz ")
        if len(digits) > LONGEST_NUMBER:
            self.fail(f"a number of {len(digits):,} digits is too large", param, ctx)
        kind = value[len(digits) :].strip() or "documents"
        plain = digits.replace("_", "")
        if kind not in ("documents", "tokens") or not (plain.isascii() and plain.isdigit()):
            self.fail(f"{value!r}: write 200documents or 1000000tokens", param, ctx)
        return kind, int(plain)


corpus_options = stacked(
    click.argument("text", nargs=-1),
    option("--corpus", "name", metavar="NAME", show_default="corpus", help="Name of the corpus."),
    option(
        "--tokenizer",
        metavar="NAME|FOLDER",
        show_default="the model's",
        help="Tokenizer of a model, by its name or from its folder.",
    ),
    option(
        "--context",
        type=int,
        show_default="128, or less if model or dictionary ask for it",
        help="Tokens per row.",
    ),
    option(
        "--batch-size",
        "batch_rows",
        type=int,
        show_default="64, for a GPU 2048",
        help="Rows per token batch.",
    ),
    option("--partitions", type=int, show_default="4", help="Partitions of the corpus."),
    option(
        "--pack/--no-pack",
        default=None,
        show_default="no-pack",
        help="Join documents in a row, or pad the last row of each.",
    ),
    option(
        "--bos/--no-bos",
        default=None,
        show_default="as the dictionaries were trained",
        help="Put a BOS before every row, or before none.",
    ),
    option(
        "--format",
        "format",
        metavar="FORMAT",
        show_default="by content and suffix",
        help="text, json, jsonl, csv, parquet, arrow, npy or bin.",
    ),
    option("--text-field", metavar="FIELD", show_default="text", help="Field that holds the text."),
    option("--tokens-field", metavar="FIELD", help="Field that holds token ids instead of text."),
    option("--chat-field", metavar="FIELD", help="Field that holds a conversation's messages."),
    option(
        "--special-tokens",
        type=click.Choice(["text", "parse"]),
        show_default="text",
        help="Read a special token that a text spells as text, or as that token.",
    ),
    option("--id-field", metavar="FIELD", help="Field that holds the document's id."),
    option("--domain-field", metavar="FIELD", help="Field that holds the document's domain."),
    option(
        "--limit",
        type=Limit(),
        help="Stop after so many: 200documents (or 200), 1000000tokens.",
    ),
    option(
        "--limit-per-domain",
        metavar="N[documents|rows]",
        help="Take so many of each domain: 200documents (or 200), 500rows.",
    ),
    option(
        "--skip-bad",
        is_flag=True,
        default=None,
        help="Make dead letters of unreadable documents and go on; else they stop us.",
    ),
)


def corpus_values(text: tuple[str, ...], limit: tuple[str, int] | None, **values: Any) -> Any:
    """Return the ``[corpus]`` section that options ask for."""
    if text:
        values["text"] = text
    if limit is not None:
        values[f"limit_{limit[0]}"] = limit[1]
    return given(values)
