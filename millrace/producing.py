"""Producing a corpus with a progress bar."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import Progress

from consumers.models.batch_sizes import usual_batch_rows
from millrace.corpus import PreparedText
from millrace.logs import show_events
from millrace.progress_bars import ProducerBar, bars, shown_on_terminal
from producers.dump import dump_corpus, load_corpus
from producers.produced import Produced, reported
from producers.publish import produce
from producers.rebatch import rebatch_corpus
from streams.catalog.corpora import get_corpus
from streams.errors import CorpusError
from streams.monitoring.events import DEAD_LETTER
from streams.records.corpus import CorpusRecord
from streams.transport.client import Client

if TYPE_CHECKING:
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


def rebatch(
    client: Client, name: str, wanted: str, rows: int | None, partitions: int | None
) -> CorpusRecord:
    """Make a corpus of another's rows in batches of another size, with a bar.

    rows: of a batch, None for the usual number for a GPU.
    """
    found = get_corpus(client, name)
    size = usual_batch_rows(found.context, gpu=True) if rows is None else rows
    with bars() as progress:
        bar = ProducerBar(progress, "rebatch", found.tokens)
        record = rebatch_corpus(client, name, wanted, size, partitions, bar)
        bar.finish(record.tokens)
    return record


def produce_corpus(
    client: Client, text: PreparedText, address: "Address | None" = None
) -> CorpusRecord:
    """Make, resume or find the corpus of a text and return its sealed record.

    On a terminal with a bar, else with lines in the log. address: where metrics are served.
    """
    produced = Produced(text.how.name, text.how.limit_tokens)
    with _served(produced, address):
        if not shown_on_terminal():
            with reported(produced):
                return _produce(client, text, produced)
        show_events((DEAD_LETTER.name,))
        with bars() as progress:
            return _produce_with_bar(progress, client, text, produced)


def produce_in(progress: Progress, client: Client, text: PreparedText) -> CorpusRecord:
    """Do the same with a bar among others."""
    produced = Produced(text.how.name, text.how.limit_tokens)
    return _produce_with_bar(progress, client, text, produced)


def _produce_with_bar(
    progress: Progress, client: Client, text: PreparedText, produced: Produced
) -> CorpusRecord:
    bar = ProducerBar(progress, "tokenise", text.how.limit_tokens)
    produced.bar = bar
    with reported(produced):
        record = _produce(client, text, produced)
    bar.finish(record.tokens)
    return record


def _produce(client: Client, text: PreparedText, produced: Produced) -> CorpusRecord:
    documents = text.documents(client, produced.refuse)
    return produce(client, text.how, text.tokenizer, documents, produced)


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
