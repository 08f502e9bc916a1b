"""Options of verbs that ask a model: of which one, from what record, in what form, kept or not."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
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

if TYPE_CHECKING:
    from millrace.answer_files import Form
    from millrace.asked_records import AnyRecord
    from millrace.settings import Settings

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

keep_option = option(
    "--keep/--no-keep",
    default=True,
    show_default=True,
    help="Keep a record of what is asked in the store; millrace asked lists them.",
)

record_option = option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Ask again what FILE says: a record, or an answer as JSON.",
)

_asking_options = stacked(
    model_options,
    record_option,
    keep_option,
    format_options,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """How a verb was asked, apart from what it asks. record: a file to ask again."""

    settings: "Settings"
    snapshot: str | None
    record: Path | None
    kept: bool
    form: "Form"
    out: Path | None

    def expect_alone(self, *wanted: Any) -> None:
        """Raise UsageError for a record beside something else that is wanted."""
        if self.record is not None and any(wanted):
            raise click.UsageError(
                "a record says what is asked: leave out texts and features beside it"
            )

    def keep(self, record: "AnyRecord") -> None:
        """Keep what was asked, unless it is a record's or is not to be kept."""
        from millrace.asked_records import keep

        if self.kept and self.record is None:
            keep(self.settings, self.snapshot, record)

    def put(self, data: bytes) -> None:
        """Write the answer where it is wanted."""
        from millrace.answer_files import put

        put(data, self.out)


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of verbs that ask a model, and hand them on as one argument ``asked``."""

    @_asking_options
    @wraps(command)
    def collected(
        *,
        snapshot: str | None,
        record: Path | None,
        keep: bool,
        form: "Form",
        out: Path | None,
        **values: Any,
    ) -> None:
        expect_file(form, out)
        chosen = model_settings(**{name: values.pop(name) for name in _OF_MODEL})
        command(asked=Asked(chosen, snapshot, record, keep, form, out), **values)

    return collected


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


_OF_MODEL = (
    "settings_file",
    "run_name",
    "broker",
    "device",
    "model",
    "dictionaries",
    "tokenizer",
)
