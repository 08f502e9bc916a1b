"""What a reader of one format is."""

from collections.abc import Iterator
from typing import Protocol

from producers.documents import Document, RefusedDocuments
from producers.fields import Fields
from producers.readers.opening import Opened


class Reader(Protocol):
    """Reads the files of one format.

    name: by which settings ask for it. suffixes: of its files, in lower case.
    """

    @property
    def name(self) -> str:
        """The format's name."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Its files' suffixes."""

    def recognises(self, head: bytes, fields: Fields) -> bool:
        """Return whether a file that begins with these bytes is surely of this format."""

    def read(self, file: Opened, fields: Fields, bad: RefusedDocuments) -> Iterator[Document]:
        """Yield the documents of a file; what cannot be read goes to ``bad``, one by one.

        Raises OSError and the like where the file itself cannot be read any further, and
        CorpusError where no record of it could be used.
        """
