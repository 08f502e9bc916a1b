"""Producing a corpus with a progress bar."""

from typing import TYPE_CHECKING

from millrace.bars import ProducerBar, bars
from millrace.corpus import corpus_settings, documents
from producers.publish import produce
from streams.corpus import CorpusRecord
from streams.transport.client import Client

if TYPE_CHECKING:
    from millrace.settings import Settings


def produce_corpus(client: Client, settings: "Settings") -> CorpusRecord:
    """Make, resume or find the corpus of the settings and return its sealed record."""
    made = corpus_settings(settings)
    with bars() as progress:
        bar = ProducerBar(progress, made.limit_tokens)
        record = produce(client, made, documents(settings, client), bar)
        bar.finish(record.tokens)
    return record
