"""CSV and TSV: a document per row, the fields named by the first line."""

import csv
import io
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from producers.documents import MAX_BAD_BYTES, Document, RefusedDocuments
from producers.fields import Fields, document_of
from producers.readers.opening import Opened
from streams.errors import CorpusError

_DELIMITERS = (",", "\t", ";", "|")
# A quote that is never closed would take all that follows for one field.
LONGEST_RECORD = 10_000
_UNCLOSED = "a quote in it is not closed"
_PIECE = 2**20


class Csv:
    """Tables in text; commas, tabs, semicolons or bars between the fields, by the first line."""

    name = "csv"
    suffixes = (".csv", ".tsv")

    def recognises(self, head: bytes, fields: Fields) -> bool:
        """Return whether the first line has several columns, the one of the text among them."""
        line = head.split(b"\n", 1)[0].decode(fields.encoding or "utf-8-sig", "replace")
        header = _header(line, fields)
        return len(header) > 1 and fields.missing(header) is None

    def read(self, file: Opened, fields: Fields, bad: RefusedDocuments) -> Iterator[Document]:
        """Yield a document per row; its id is ``name:row``, counted from 1, unless a field says.

        Raises CorpusError if a named column is missing: no row could be read then.
        """
        csv.field_size_limit(sys.maxsize)
        # Bytes that are no text come as halves of surrogate pairs, so that only their row is bad.
        text = io.TextIOWrapper(
            file.stream, fields.encoding or "utf-8-sig", "surrogateescape", newline=""
        )
        try:
            yield from _documents(_Lines(text, fields.max_document_bytes), file, fields, bad)
        finally:
            text.detach()  # else it closes the file when it is let go of


def _documents(
    lines: "_Lines", file: Opened, fields: Fields, bad: RefusedDocuments
) -> Iterator[Document]:
    try:
        first = next(lines, "")
    except _TooLongError as error:
        bad.add(f"{file.address} line 1", fields.too_long, _bytes(error.text))
        return
    if not first:
        return
    lines.start()
    header = _header(first, fields)
    missing = fields.missing(header)
    if missing is not None:
        raise CorpusError(
            f"{file.address} has no column {missing!r}: name one of {', '.join(header)} as the "
            "field, or read it as text with --format text"
        )
    delimiter = _delimiter(first, fields)
    for number, row in enumerate(_rows(lines, delimiter), start=1):
        where = f"{file.address} row {number}"
        if isinstance(row, _BadRow):
            bad.add(where, fields.too_long if row.too_long else _UNCLOSED, _bytes(row.text))
            continue
        try:
            if len(row) != len(header):
                found = f"it has {len(row)} fields where the first line has {len(header)}"
                raise ValueError(found)
            record = dict(zip(header, row, strict=True))
            document = document_of(record, fields, f"{file.name}:{number}")
        except ValueError as error:
            bad.add(where, str(error), _bytes(delimiter.join(row)))
            continue
        yield document


@dataclass(frozen=True, slots=True)
class _BadRow:
    """Where a row should be. text: what is there instead, or the first of it."""

    text: str
    too_long: bool


class _TooLongError(ValueError):
    """A line is longer than a document may be. text: the first of it."""

    def __init__(self, text: str) -> None:
        super().__init__("the line is too long")
        self.text = text


class _Lines:
    """Lines that can be given back, as many as a row may have.

    Raises _TooLongError for a line of more than ``most`` characters, and goes on behind it if asked
    for another.
    """

    def __init__(self, text: io.TextIOBase, most: int) -> None:
        self._text = text
        self._most = most
        self._returned: deque[str] = deque()
        self._taken: list[str] = []
        self._size = 0
        self._inside = False

    @property
    def too_large(self) -> bool:
        """Whether the lines taken are longer than a document may be."""
        return self._size > self._most

    def start(self) -> None:
        """Begin another row: what was taken so far is not given back any more."""
        self._taken.clear()
        self._size = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if self.too_large or len(self._taken) > LONGEST_RECORD:
            raise StopIteration
        line = self._returned.popleft() if self._returned else self._read()
        if not line:
            raise StopIteration
        self._taken.append(line)
        self._size += len(line)
        return line

    def _read(self) -> str:
        while self._inside:
            passed = self._text.readline(_PIECE)
            self._inside = bool(passed) and not passed.endswith(("\n", "\r"))
        line = self._text.readline(self._most + 1)
        if len(line) > self._most:
            self._inside = not line.endswith(("\n", "\r"))
            raise _TooLongError(line[:MAX_BAD_BYTES])
        return line

    def give_back(self) -> str:
        """Give all taken lines but the first back, and return that."""
        first, *rest = self._taken
        self._returned.extendleft(reversed(rest))
        self.start()
        return first


def _rows(lines: _Lines, delimiter: str) -> Iterator[list[str] | _BadRow]:
    """Yield the rows that are not blank; a line as it is where a quote in it is never closed."""
    while True:
        lines.start()
        try:
            row = next(csv.reader(lines, delimiter=delimiter, strict=True))
        except StopIteration:
            return
        except _TooLongError as error:
            yield _BadRow(error.text, too_long=True)
            continue
        except csv.Error:
            too_long = lines.too_large
            yield _BadRow(lines.give_back(), too_long)
            continue
        if row:
            yield row


def _delimiter(line: str, fields: Fields) -> str:
    """Return the delimiter that shows the fields asked for, else the one that shows most."""
    found = {mark: _split(line, mark) for mark in _DELIMITERS}
    fitting = [mark for mark in _DELIMITERS if fields.missing(found[mark]) is None]
    return max(fitting or _DELIMITERS, key=lambda mark: len(found[mark]))


def _header(line: str, fields: Fields) -> list[str]:
    return _split(line, _delimiter(line, fields))


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(line.splitlines()[:1], delimiter=delimiter), [])
    except csv.Error:
        return []


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
