"""JSON files: an array of objects or strings, or one of them; arrays are read piece by piece."""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from producers.documents import Document, Fields, Refusals, document_of
from producers.readers.opening import cause_of, open_bytes

PIECE = 2**20
LONGEST_WORD = 16
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def read_json(path: Path, name: str, fields: Fields, bad: Refusals) -> Iterator[Document]:
    """Yield the documents of a JSON file; ids are ``name:number``, or ``name`` for a single one.

    What follows a place that is no JSON cannot be read and counts as one bad document.
    """
    with open_bytes(path) as file:
        text = _Window(file)
        items = _values(text)
        while True:
            try:
                number, value = next(items)
            except StopIteration:
                return
            except (ValueError, RecursionError) as error:
                bad.add(f"{path} line {text.line}", cause_of(error), text.rest())
                return
            label = f"{name}:{number}" if number else name
            try:
                document = document_of(value, fields, label)
            except ValueError as error:
                bad.add(f"{path} line {text.line}", str(error), json.dumps(value).encode())
                continue
            yield document


class _Window:
    """The part of a JSON text that is in memory, and our place in it; ``line`` counts from 1."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.text = ""
        self.at = 0
        self.line = 1
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._broken: UnicodeDecodeError | None = None

    def peek(self) -> str:
        """Return the next character that is no white space, "" at the end."""
        while True:
            space = _SPACE.match(self.text, self.at)
            self.move_to(space.end() if space else self.at)
            if self.at < len(self.text) or not self.grow(PIECE):
                return self.text[self.at : self.at + 1]

    def move_to(self, place: int) -> None:
        """Go on to another place in the text."""
        self.line += self.text.count("\n", self.at, place)
        self.at = place

    def grow(self, size: int) -> bool:
        """Read about ``size`` bytes more and forget what lies behind; at the end return False.

        Bytes that are not UTF-8 raise only once all before them was used.
        """
        if self._broken is not None:
            self.move_to(len(self.text))
            raise self._broken
        data = self.file.read(size)
        try:
            more = self._decode(data, not data)
        except UnicodeDecodeError as error:
            self._broken = error
            more = error.object[: error.start].decode()
        if not data and self._broken is None:
            return False
        self.text = self.text[self.at :] + more
        self.at = 0
        return True

    def value(self) -> Any:
        """Return the JSON value that begins here and go past it; raise ValueError if none does."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                # A window twice as large each time keeps the cost of further tries linear.
                if self._is_cut(error) and self.grow(max(PIECE, len(self.text))):
                    continue
                self.move_to(error.pos)
                raise
            # A number at the very end may go on in the next piece.
            if end < len(self.text) or not self.grow(PIECE):
                self.move_to(end)
                return value

    def _is_cut(self, error: json.JSONDecodeError) -> bool:
        """Return whether an error may only come from the window's end; others are final."""
        near_the_end = error.pos >= len(self.text) - LONGEST_WORD
        return near_the_end or error.msg.startswith("Unterminated string")

    def rest(self) -> bytes:
        """Return what is in memory from here on as bytes."""
        return self.text[self.at :].encode("utf-8", "surrogatepass")


def _values(text: _Window) -> Iterator[tuple[int, Any]]:
    """Yield (number from 1, item) of an array, or (0, value) of anything else."""
    if text.peek() != "[":
        yield 0, text.value()
    else:
        yield from _items(text)
    if text.peek():
        raise ValueError("something follows the end of its JSON")


def _items(text: _Window) -> Iterator[tuple[int, Any]]:
    text.move_to(text.at + 1)
    number = 0
    while text.peek() != "]" or number:
        number += 1
        yield number, text.value()
        mark = text.peek()
        if mark == "]":
            break
        if mark != ",":
            raise ValueError(f"it is no valid JSON ({mark or 'the end'!r} where ',' should be)")
        text.move_to(text.at + 1)
    text.move_to(text.at + 1)
