"""Producing a corpus with a progress bar."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import Progress

from millrace.bars import ProducerBar, bars
from millrace.corpus import corpus_settings, documents
from producers.dump import dump_corpus, load_corpus
from producers.publish import produce
from streams.corpus import CorpusRecord
from streams.transport.client import Client

if TYPE_CHECKING:
    from millrace.settings import Settings


def dump(client: Client, name: str, file: Path) -> CorpusRecord:
    """Write a corpus to a file, with a bar."""
    with bars() as progress:
        bar = ProducerBar(progress, "dump", None)
        record = dump_corpus(client, name, file, bar)
        bar.finish(record.tokens)
    return record


def load(client: Client, file: Path) -> CorpusRecord:
    """Load a corpus from a file, with a bar."""
    with bars() as progress:
        bar = ProducerBar(progress, "load", None)
        record = load_corpus(client, file, bar)
        bar.finish(record.tokens)
    return record


def produce_corpus(client: Client, settings: "Settings") -> CorpusRecord:
    """Make, resume or find the corpus of the settings and return its sealed record."""
    with bars() as progress:
        return produce_in(progress, client, settings)


def produce_in(progress: Progress, client: Client, settings: "Settings") -> CorpusRecord:
    """Do the same with a bar among others."""
    made = corpus_settings(settings, client)
    bar = ProducerBar(progress, "tokenise", made.limit_tokens)
    record = produce(client, made, documents(settings, client), bar)
    bar.finish(record.tokens)
    return record
