"""Documents of a test, in place of files."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from producers.documents import Document, RefusedDocuments


@dataclass(frozen=True, slots=True)
class DocumentsInMemory:
    """Documents that are already in memory."""

    documents: tuple[Document, ...]
    rereadable: bool = True
    refusals: RefusedDocuments = field(default_factory=RefusedDocuments)

    def __iter__(self) -> Iterator[Document]:
        return iter(self.documents)
