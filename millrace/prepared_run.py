"""A run about to be made, prepared once: its engine with plan and record, its corpus and text."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.auto_settings import choice, first_batch, settled_spec
from millrace.corpus import PreparedText, prepare_text
from millrace.progress_bars import say, spinner
from streams.catalog.corpora import find_corpus
from streams.catalog.runs import expect_new
from streams.errors import ModelError
from streams.lost_input import expect_whole
from streams.records.corpus import CorpusRecord
from streams.transport.client import Client

if TYPE_CHECKING:
    from consumers.activations.torch_engine import TorchEngine
    from millrace.settings import Settings


@dataclass(frozen=True, slots=True, eq=False)
class PreparedRun:
    """What all that follows takes. engine: its plan holds the run's record.

    corpus: its record, as it is on the broker or as it will be. text: what it is to be made of,
    None for a corpus that is complete.
    """

    engine: "TorchEngine"
    corpus: CorpusRecord
    text: PreparedText | None


def prepare(client: Client, settings: "Settings") -> PreparedRun:
    """Return the run of the settings, after checking that all fits together; nothing is written.

    Its corpus is the complete one of the name if no text is given, else made of the text. Raises
    what preparing text and creating a run raise.
    """
    spec = settled_spec(client, settings)
    if spec.model.path.startswith("/") and not Path(spec.model.path).is_dir():
        raise ModelError(f"there is no model folder {spec.model.path}: check the name")
    text, corpus = None, _complete(client, settings)
    if corpus is None:
        text = prepare_text(settings, client)
        corpus = text.expect_producible()
    with spinner("loading the model and its dictionaries"):
        from consumers.runs.creation import prepare_run

        now = datetime.now(UTC).isoformat(timespec="seconds")
        sample = partial(first_batch, client, corpus, text)
        engine = prepare_run(spec, corpus, now, sample, text.tokenizer if text else None)
    expect_new(client, engine.plan.run)
    if settings.has_auto():
        say(choice(engine.plan.run))
    return PreparedRun(engine, corpus, text)


def corpus_and_text(
    client: Client, settings: "Settings"
) -> tuple[CorpusRecord, PreparedText | None]:
    """Return the corpus as it is on the broker, or else as it will be, and then its text, too."""
    known = find_corpus(client, settings.corpus.name)
    if known is not None:
        return known, None
    text = prepare_text(settings, client)
    return text.record, text


def _complete(client: Client, settings: "Settings") -> CorpusRecord | None:
    """Return the sealed corpus that the settings name in place of text, if they do."""
    found = None if settings.corpus.text else find_corpus(client, settings.corpus.name)
    if found is None or not found.sealed:
        return None
    expect_whole(client, found.name)
    return found
