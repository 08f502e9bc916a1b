"""Producing a corpus with a progress bar."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import Progress

from millrace.corpus import corpus_settings, documents
from millrace.logs import show_events
from millrace.progress_bars import ProducerBar, bars, shown_on_terminal
from producers.dump import dump_corpus, load_corpus
from producers.produced import Produced, reported
from producers.publish import produce
from producers.settings import CorpusSettings
from producers.sources import TextSource
from streams.errors import CorpusError
from streams.monitoring.events import DEAD_LETTER
from streams.records.corpus import CorpusRecord
from streams.transport.client import Client

if TYPE_CHECKING:
    from millrace.settings import Settings
    from streams.monitoring.endpoint import Address


def dump(client: Client, name: str, file: Path) -> CorpusRecord:
    """Write a corpus to a file, with a bar."""
    with bars() as progress:
        return dump_in(progress, client, name, file)


def dump_in(progress: Progress, client: Client, name: str, file: Path) -> CorpusRecord:
    """Do the same with a bar among others."""
    bar = ProducerBar(progress, "dump", None)
    record = dump_corpus(client, name, file, bar)
    bar.finish(record.tokens)
    return record


def expect_writable(file: Path) -> None:
    """Raise CorpusError, before anything is computed, if a dump cannot lie where it shall."""
    if file.is_dir() or not os.access(file.absolute().parent, os.W_OK | os.X_OK):
        raise CorpusError(f"cannot write the dump {file}: name a file in a folder that is there")


def load(client: Client, file: Path) -> CorpusRecord:
    """Load a corpus from a file, with a bar."""
    with bars() as progress:
        bar = ProducerBar(progress, "load", None)
        record = load_corpus(client, file, bar)
        bar.finish(record.tokens)
    return record


def produce_corpus(
    client: Client, settings: "Settings", address: "Address | None" = None
) -> CorpusRecord:
    """Make, resume or find the corpus of the settings and return its sealed record.

    On a terminal with a bar, else with lines in the log. address: where metrics are served.
    """
    made = corpus_settings(settings, client)
    produced = Produced(made.name, made.limit_tokens)
    with _served(produced, address):
        if not shown_on_terminal():
            with reported(produced):
                return produce(client, made, _documents(settings, client, produced), produced)
        show_events((DEAD_LETTER.name,))
        with bars() as progress:
            return _produce_with_bar(progress, client, settings, made, produced)


def produce_in(progress: Progress, client: Client, settings: "Settings") -> CorpusRecord:
    """Do the same with a bar among others."""
    made = corpus_settings(settings, client)
    produced = Produced(made.name, made.limit_tokens)
    return _produce_with_bar(progress, client, settings, made, produced)


def _produce_with_bar(
    progress: Progress,
    client: Client,
    settings: "Settings",
    made: CorpusSettings,
    produced: Produced,
) -> CorpusRecord:
    bar = ProducerBar(progress, "tokenise", made.limit_tokens)
    produced.bar = bar
    with reported(produced):
        record = produce(client, made, _documents(settings, client, produced), produced)
    bar.finish(record.tokens)
    return record


def _documents(settings: "Settings", client: Client, produced: Produced) -> TextSource:
    return documents(settings, client, produced.refuse)


@contextmanager
def _served(produced: Produced, address: "Address | None") -> Iterator[None]:
    """Serve the metrics of a producer while the block runs, if there is an address."""
    if address is None:
        yield
        return
    from producers.metrics import ProducedCollector
    from streams.monitoring.endpoint import served

    with served(ProducedCollector(produced), produced, address):
        yield
