"""A model to ask: from settings, from the record of a run, or from a snapshot alone."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from consumers.runs.specs import DEFAULT
from millrace.auto_settings import settled_spec
from millrace.corpus import prepare_text
from millrace.no_broker import is_absent
from millrace.progress_bars import spinner
from streams.asking.answer import Answer
from streams.asking.question import Question
from streams.catalog.corpora import get_corpus
from streams.catalog.runs import get_run
from streams.errors import QuestionError, SettingsError
from streams.regular_files import read_bounded
from streams.transport.client import Client
from streams.transport.connect import connect

if TYPE_CHECKING:
    from consumers.asking.asker import Asker
    from consumers.asking.record import AskRecord
    from consumers.asking.setup import Setup
    from millrace.settings import Settings

_MOST_BYTES = 2**26  # of a file of texts


def open_asker(settings: "Settings", snapshot: str | None = None) -> "Asker":
    """Return the model of a snapshot, of the run that the settings name, or of the settings alone.

    snapshot: folder or address of a store, a run or a snapshot. Without one the run of the settings
    is taken from the broker; the settings' own model is, where they name no run or there is no
    broker. Raises what loading those raises.
    """
    if snapshot is not None:
        named = settings.run.name
        with spinner("loading the model and its dictionaries"):
            return load_setup(settings, _of_snapshot(snapshot, named, settings.corpus.tokenizer))
    client = connect(settings.access)
    unnamed = settings.run.name is None
    if settings.model.path and (unnamed or is_absent(settings.access, client)):
        return _of_settings(client, settings)
    with spinner("loading the model and its dictionaries"):
        return load_setup(settings, _of_run(client, settings))


def ask_texts(
    settings: "Settings", snapshot: str | None, question: Question
) -> tuple[Answer, "AskRecord"]:
    """Return the answer to a question, and the record by which it is asked again."""
    asker = open_asker(settings, snapshot)
    return _answered(asker, question)


def ask_again(settings: "Settings", file: Path) -> tuple[Answer, "AskRecord"]:
    """Return the answer to the question of a record, and its record now.

    Raises QuestionError for what is no record, RunError if the model or a dictionary is another.
    """
    from consumers.asking.record import MAX_BYTES, read_record

    return ask_record_again(settings, read_record(read_bounded(file, MAX_BYTES), str(file)))


def ask_record_again(settings: "Settings", known: "AskRecord") -> tuple[Answer, "AskRecord"]:
    """Return the answer to the question of a record, and its record now; RunError as above."""
    with spinner("loading the model and its dictionaries"):
        asker = load_setup(settings, known.setup)
    return _answered(asker, known.question)


def texts_of(files: Sequence[Path], lines: bool) -> Iterator[str]:
    """Yield the texts of files, ``-`` for standard input; lines: each that is not blank is one.

    Raises QuestionError for a file that is too large or no UTF-8.
    """
    for file in files:
        stdin = str(file) == "-"
        data = sys.stdin.buffer.read(_MOST_BYTES + 1) if stdin else _bounded(file)
        if len(data) > _MOST_BYTES:
            raise QuestionError(f"standard input has more than {_MOST_BYTES:,} bytes")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise QuestionError(f"{file} is not UTF-8 (byte {error.start})") from error
        yield from (one for one in text.splitlines() if one.strip()) if lines else (text,)


def now() -> str:
    """Return the time as records hold it, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _bounded(file: Path) -> bytes:
    try:
        return read_bounded(file, _MOST_BYTES)
    except OSError as error:
        raise QuestionError(f"{file}: {error.strerror or error}") from error


def _answered(asker: "Asker", question: Question) -> tuple[Answer, "AskRecord"]:
    from consumers.asking.record import ask_record

    return asker.ask(question), ask_record(question, asker.setup, now())


def load_setup(settings: "Settings", setup: "Setup") -> "Asker":
    """Return the model of a setup, on the device of the settings; errors as in ``load_asker``."""
    from consumers.asking.asker import load_asker

    return load_asker(setup, settings.model.device, settings.trusted_sources())


def _of_snapshot(address: str, run: str | None, tokenizer: str | None) -> "Setup":
    from consumers.asking.snapshot_setup import setup_of_snapshot
    from downstream.reading.locating import locate

    return setup_of_snapshot(locate(address, run), tokenizer)


def _of_run(client: Client, settings: "Settings") -> "Setup":
    from consumers.asking.setup import setup_of

    run = get_run(client, settings.run_name)
    return setup_of(run, get_corpus(client, run.corpus))


def _of_settings(client: Client, settings: "Settings") -> "Asker":
    """Return the model that a run of the settings would have; its text is not read.

    It has none of a run's numbers: some take longer than the model, and no answer holds them.
    """
    bare = replace(settings.run, statistics=(), rankings=("maximum",), without=(DEFAULT,))
    spec = settled_spec(client, settings.model_copy(update={"run": bare, "statistics": {}}))
    if not spec.sources:
        raise SettingsError("nothing to ask: name a dictionary or neurons beside the model")
    no_text = settings.corpus.model_copy(update={"text": ()})
    text = prepare_text(settings.model_copy(update={"corpus": no_text}), client)
    with spinner("loading the model and its dictionaries"):
        from consumers.asking.asker import Asker
        from consumers.asking.setup import setup_of
        from consumers.runs.creation import prepare_run

        engine = prepare_run(spec, text.record, tokenizer=text.tokenizer)
        return Asker(setup_of(engine.plan.run, text.record), engine, text.tokenizer)
