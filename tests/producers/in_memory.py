"""Documents of a test in place of files, and corpora made of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from producers.documents import Document, Documents, RefusedDocuments
from producers.progress import ProducerProgress
from producers.publish import produce
from producers.settings import CorpusSettings
from streams.records.corpus import CorpusRecord
from streams.tokenizer.loading import load_tokenizer
from streams.transport.client import Client


@dataclass(frozen=True, slots=True)
class DocumentsInMemory:
    """Documents that are already in memory."""

    documents: tuple[Document, ...]
    rereadable: bool = True
    refusals: RefusedDocuments = field(default_factory=RefusedDocuments)

    def __iter__(self) -> Iterator[Document]:
        return iter(self.documents)


def produce_text(
    client: Client, settings: CorpusSettings, documents: Documents, progress: ProducerProgress
) -> CorpusRecord:
    """Make a corpus of documents with the tokenizer that the settings name."""
    return produce(client, settings, load_tokenizer(settings.tokenizer), documents, progress)
