"""CSV and TSV: a document per row, the fields named by the first line."""

import codecs
import csv
import sys
from collections.abc import Iterator
from itertools import chain

from producers.documents import Document, RefusedDocuments
from producers.fields import Fields, document_of
from producers.readers.opening import Opened
from streams.errors import CorpusError

_DELIMITERS = (",", "\t", ";", "|")
# A quote that is never closed would take all that follows for one field.
LONGEST_RECORD = 10_000


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
        decoder = codecs.getreader(fields.encoding or "utf-8-sig")
        lines = _Lines(iter(decoder(file.stream, "surrogateescape")))
        first = next(lines, "")
        if not first:
            return
        lines.taken.clear()
        header = _header(first, fields)
        missing = fields.missing(header)
        if missing is not None:
            raise CorpusError(
                f"{file.address} has no column {missing!r}: name one of {', '.join(header)} as the "
                "field, or read it as text with --format text"
            )
        delimiter = _delimiter(first, fields)
        for number, row in enumerate(_records(lines, delimiter), start=1):
            where = f"{file.address} row {number}"
            if isinstance(row, str):
                bad.add(where, "a quote in it is not closed", _bytes(row))
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


class _Lines:
    """Lines that can be given back. taken: those since it was last cleared."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.taken: list[str] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if len(self.taken) > LONGEST_RECORD:
            raise StopIteration
        line = next(self.lines)
        self.taken.append(line)
        return line

    def give_back(self) -> str:
        """Give all taken lines but the first back, and return that."""
        first, *rest = self.taken
        self.lines = chain(rest, self.lines)
        self.taken.clear()
        return first


def _records(lines: _Lines, delimiter: str) -> Iterator[list[str] | str]:
    """Yield the rows that are not blank; a line as it is where a quote in it is never closed."""
    while True:
        lines.taken.clear()
        try:
            row = next(csv.reader(lines, delimiter=delimiter, strict=True))
        except StopIteration:
            return
        except csv.Error:
            yield lines.give_back()
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
