"""Headers of Parquet pages and columns: what they say is read before anything is decoded.

Thrift's compact protocol, as far as page headers and the beginning of a footer need it. Arrow makes
room for what a footer or page claims; here nothing is made that bytes of the file do not stand for.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MAGIC = b"PAR1"
TAIL = 8
"""Bytes at the end of a file: the length of the footer, and the magic."""

DATA, DICTIONARY, DATA_V2 = 0, 2, 3
"""Kinds of pages that hold values."""

PLAIN, PLAIN_DICTIONARY, RLE_DICTIONARY = 0, 2, 8
"""Encodings in which a value takes no more room decoded than its bytes or its dictionary's."""

_USUAL_HEADER = 256
_LONGEST_HEADER = 64 * 1024  # statistics in it hold a smallest and a largest value
_NESTING = 16
_INTEGERS = (4, 5, 6)  # 16, 32 and 64 bits


class PageError(ValueError):
    """The headers of a file are broken or contradict each other."""


@dataclass(frozen=True, slots=True)
class ParquetPage:
    """A page of a column chunk. at: where its body begins in the file; sizes in bytes."""

    kind: int
    at: int
    compressed: int
    uncompressed: int
    values: int
    encoding: int


def footer_length(tail: bytes) -> int:
    """Return the length of the footer that the last ``TAIL`` bytes of a file name."""
    if len(tail) != TAIL or tail[4:] != MAGIC:
        raise PageError("it is no Parquet file")
    return int(struct.unpack("<I", tail[:4])[0])


def schema_elements(footer: bytes) -> int:
    """Return how many elements the schema at the beginning of a footer has."""
    reader = _Reader(footer)
    for number, kind in reader.fields():
        if number == 2 and kind == 9:
            return reader.list_header()[1]
        reader.skip(kind)
    raise PageError("its footer has no schema")


def pages(
    file: BinaryIO, start: int, length: int, longest_header: int = _LONGEST_HEADER
) -> Iterator[ParquetPage]:
    """Yield the pages of a column chunk in the order in which they lie in the file."""
    at, stop = start, start + length
    while at < stop:
        page = _page_at(file, at, stop - at, longest_header)
        if page.at + page.compressed > stop:
            raise PageError("a page reaches beyond its column")
        yield page
        at = page.at + page.compressed


def _page_at(file: BinaryIO, at: int, left: int, longest_header: int) -> ParquetPage:
    """Return the page at a place; what holds a longer header than most is read once more."""
    for most in sorted({min(_USUAL_HEADER, longest_header), longest_header}):
        file.seek(at)
        head = file.read(min(most, left))
        try:
            return _page(_Reader(head), at)
        except PageError:
            if len(head) < most or most == longest_header:
                raise
    raise AssertionError("the last try returns or raises")


def _page(reader: "_Reader", at: int) -> ParquetPage:
    head, inner = {1: -1, 2: -1, 3: -1}, {1: 0}
    for number, kind in reader.fields():
        if number in head and kind in _INTEGERS:
            head[number] = reader.integer()
        elif number in (5, 7, 8) and kind == 12:
            inner = reader.integers()
        else:
            reader.skip(kind)
    encoding = inner.get(4 if head[1] == DATA_V2 else 2, -1)
    page = ParquetPage(head[1], at + reader.at, head[3], head[2], inner.get(1, 0), encoding)
    if min(page.kind, page.compressed, page.uncompressed, page.values) < 0:
        raise PageError("a page has no usable header")
    return page


@dataclass(slots=True)
class _Reader:
    """Reads values of the compact protocol one after the other."""

    data: bytes
    at: int = 0
    depth: int = field(default=0)

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise PageError("a header is cut short")
        self.at += 1
        return self.data[self.at - 1]

    def unsigned(self) -> int:
        found = self.byte()
        if found < 128:  # nearly always
            return found
        found &= 127
        for shift in range(7, 70, 7):
            byte = self.byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
        raise PageError("a header holds a number that is too long")

    def integer(self) -> int:
        found = self.unsigned()
        return (found >> 1) ^ -(found & 1)

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield number and kind of each field of a structure; who takes one must read past it."""
        number = 0
        while byte := self.byte():
            delta, kind = byte >> 4, byte & 15
            number = number + delta if delta else self.integer()
            yield number, kind

    def integers(self) -> dict[int, int]:
        """Return the whole numbers among the fields of a structure."""
        found = {}
        for number, kind in self.fields():
            if kind in _INTEGERS:
                found[number] = self.integer()
            else:
                self.skip(kind)
        return found

    def list_header(self) -> tuple[int, int]:
        """Return kind and number of the items of a list."""
        byte = self.byte()
        count = byte >> 4
        return byte & 15, self.unsigned() if count == 15 else count

    def skip(self, kind: int, *, inside: bool = False) -> None:
        """Go past a value. inside: of a list, where truth values take a byte."""
        self.depth += 1
        if self.depth > _NESTING:
            raise PageError("a header is nested too deeply")
        if kind in (1, 2):
            self.at += inside
        elif kind == 3:
            self.byte()
        elif kind in _INTEGERS:
            self.unsigned()
        elif kind in (7, 8):
            self._past(8 if kind == 7 else self.unsigned())
        elif kind in (9, 10):
            item, count = self.list_header()
            self._skip_items(count, item)
        elif kind == 12:
            for _, inner in self.fields():
                self.skip(inner)
        else:
            raise PageError("a header holds an unknown kind of value")
        self.depth -= 1

    def _skip_items(self, count: int, *kinds: int) -> None:
        if count > len(self.data):
            raise PageError("a header holds a list that is too long")
        for _ in range(count):
            for kind in kinds:
                self.skip(kind, inside=True)

    def _past(self, count: int) -> None:
        if count > len(self.data) - self.at:
            raise PageError("a header is cut short")
        self.at += count


def longest_entry(dictionary: bytes) -> int:
    """Return the length of the longest text in a dictionary page's body, unpacked."""
    at, longest, end = 0, 0, len(dictionary)
    unpack: Any = struct.Struct("<I").unpack_from
    while at < end:
        if end - at < 4:
            raise PageError("a dictionary is cut short")
        (length,) = unpack(dictionary, at)
        longest = max(longest, length)
        at += 4 + length
    if at != end:
        raise PageError("a dictionary is cut short")
    return longest
