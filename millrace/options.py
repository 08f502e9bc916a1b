"""Options that several verbs share, and how they become settings."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from millrace.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


class Limit(click.ParamType):
    """``200documents`` or ``1000000tokens``; a bare number counts documents."""

    name = "N[documents|tokens]"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, int]:
        """Return the kind and the number."""
        if isinstance(value, tuple):
            return value
        digits = value.rstrip("abcdefghijklmnopqrstuvwxyz ")
        kind = value[len(digits) :].strip() or "documents"
        if kind not in ("documents", "tokens") or not digits.replace("_", "").isdigit():
            self.fail(f"{value!r}: write 200documents or 1000000tokens", param, ctx)
        return kind, int(digits)


def stacked(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Return one decorator that applies several, the first one outermost."""

    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


settings_option = click.option(
    "--settings",
    "settings_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="MILLRACE_SETTINGS",
    help="TOML file with settings.",
)
broker_option = click.option(
    "--broker",
    help="kafka://host:port[,host:port], or memory://name inside this process.",
)
store_option = click.option("--store", help="Folder or address that snapshots are kept in.")
run_option = click.option("--run", "run_name", help="Name of the run (MILLRACE_RUN__NAME).")
device_option = click.option("--device", help="cpu, cuda, mps or auto (the default).")

corpus_options = stacked(
    click.argument("text", nargs=-1),
    click.option("--corpus", "name", help="Name of the corpus."),
    click.option("--tokenizer", help="Name or folder; the model's."),
    click.option("--context", type=int, help="Tokens per row."),
    click.option("--batch-size", "batch_rows", type=int, help="Rows per token batch."),
    click.option("--partitions", type=int, help="Partitions of the corpus."),
    click.option("--pack/--no-pack", default=None, help="Join documents instead of padding."),
    click.option("--bos/--no-bos", default=None, help="Put a BOS before every row, or never."),
    click.option("--format", "format", help="text, json, jsonl, parquet; by default the suffix's."),
    click.option("--text-field", help="Field that holds the text."),
    click.option("--id-field", help="Field that holds the document's id."),
    click.option("--domain-field", help="Field that holds the document's domain."),
    click.option("--limit", type=Limit(), help="Stop after so many documents or tokens."),
    click.option("--skip-bad", is_flag=True, default=None, help="Pass over unreadable documents."),
)


def corpus_values(text: tuple[str, ...], limit: tuple[str, int] | None, **values: Any) -> Any:
    """Return the ``[corpus]`` section that options ask for."""
    if text:
        values["text"] = text
    if limit is not None:
        values[f"limit_{limit[0]}"] = limit[1]
    return given(values)


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Return what was said on the command line, without what was not."""
    return {key: value for key, value in values.items() if value is not None and value != {}}


def settings(file: Path | None, **options: Any) -> "Settings":
    """Return the settings of a file, the environment and options."""
    from millrace.settings import load_settings

    return load_settings(file, options=given(options))
