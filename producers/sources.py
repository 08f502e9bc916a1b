"""From places to documents: files, folders, stores, datasets, Python's own text."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from producers.documents import Document, RefusedDocuments
from producers.fields import Fields
from producers.readers.arrow_file import ArrowFile
from producers.readers.csv_table import Csv
from producers.readers.hugging_face import PREFIX, is_saved, parse_place, read_dataset
from producers.readers.json_documents import Json
from producers.readers.locations import expect_location, is_pipe, locations
from producers.readers.opening import BROKEN_FILE, STDIN, Location, Opened, reason
from producers.readers.parquet import Parquet
from producers.readers.plain_text import PlainText
from producers.readers.python_text import PLACE, python_documents
from producers.readers.reader import Reader
from producers.readers.token_arrays import Npy, TokenNumbers
from streams.errors import SettingsError

# What begins with marks of its own comes first: of those that recognise a file, the first reads it.
READERS: tuple[Reader, ...] = (
    Parquet(),
    ArrowFile(),
    Npy(),
    Json("jsonl", (".jsonl", ".ndjson"), by_line=True),
    Json("json", (".json",)),
    Csv(),
    TokenNumbers(),
    PlainText(),
)
_BINARY = (Parquet, ArrowFile, Npy)
_TEXT = next(reader for reader in READERS if reader.name == "text")


@dataclass(frozen=True)
class TextSource:
    """The text at one or more places, always in the same order.

    places: files, folders, patterns, addresses such as s3://bucket/folder, ``-`` for stdin,
    ``hf:NAME[:CONFIG][#SPLIT]`` or ``python:``. format: name of a reader for every file; None lets
    the content choose where it is plain, else the suffix, and anything else is text. Iterating
    raises CorpusError for what cannot be read, as ``refusals`` decides.
    """

    places: tuple[str, ...]
    format: str | None = None
    fields: Fields = field(default_factory=Fields)
    refusals: RefusedDocuments = field(default_factory=RefusedDocuments)

    def __post_init__(self) -> None:
        names = [reader.name for reader in READERS]
        if self.format is not None and self.format not in names:
            raise SettingsError(f"format {self.format!r} is none of {', '.join(names)}")
        if not self.places:
            raise SettingsError("no text is named: give files, folders, '-', hf:NAME or python:")

    @property
    def rereadable(self) -> bool:
        """Whether all places can be read again: standard input and pipes cannot."""
        return STDIN not in self.places and not any(map(is_pipe, self.places))

    def expect_places(self) -> None:
        """Raise CorpusError if a file or folder is not there, before any of them is read."""
        for place in self.places:
            if place.startswith(PREFIX):
                parse_place(place)
            elif place != PLACE:
                expect_location(place)

    def __iter__(self) -> Iterator[Document]:
        for place in self.places:
            if place == PLACE:
                yield from python_documents()
            elif place.startswith(PREFIX):
                yield from read_dataset(place, self.fields, self.refusals)
            elif is_saved(place):
                yield from read_dataset(PREFIX + place, self.fields, self.refusals)
            else:
                for location in locations(place, prefix=len(self.places) > 1):
                    yield from self._read(location)

    def _read(self, location: Location) -> Iterator[Document]:
        try:
            with Opened(location) as file:
                reader = reader_of(file, self.format, self.fields)
                yield from reader.read(file, self.fields, self.refusals)
        except BROKEN_FILE as error:
            self.refusals.add(location.address, reason(error))


def reader_of(file: Opened, format: str | None, fields: Fields) -> Reader:
    """Return who reads a file: by the format asked for, by its content, or by its suffix.

    Text that happens to be JSON or a table is told from such only where the suffix promises
    records, or says nothing.
    """
    if format is not None:
        return next(reader for reader in READERS if reader.name == format)
    by_suffix = next((r for r in READERS if file.suffix in r.suffixes), None)
    found = [reader for reader in READERS if reader.recognises(file.head, fields)]
    if by_suffix is not None and by_suffix in found:
        return by_suffix
    for reader in found:
        if isinstance(reader, _BINARY) or (by_suffix is not None and by_suffix is not _TEXT):
            return reader
        if isinstance(reader, Json) and not file.suffix:
            return reader
    return by_suffix or _TEXT
