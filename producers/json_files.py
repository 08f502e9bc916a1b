"""JSON files: an array of objects or strings, or one of them; arrays are read piece by piece."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from producers.documents import Document, Fields, Refusals, document_of
from producers.files import cause_of, open_bytes

PIECE = 2**20
_SPACE = re.compile(r"[ \t\r\n]*")


def read_json(path: Path, name: str, fields: Fields, bad: Refusals) -> Iterator[Document]:
    """Yield the documents of a JSON file; ids are ``name:number``, or ``name`` for a single one.

    What follows a place that is no JSON cannot be read and counts as one bad document.
    """
    with open_bytes(path) as file:
        text = _Window(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""))
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
    """The part of a JSON text that is in memory; ``line`` counts from 1 at its beginning."""

    def __init__(self, file: io.TextIOBase) -> None:
        self.file = file
        self.text = ""
        self.line = 1
        self.decoder = json.JSONDecoder()

    def peek(self) -> str:
        """Return the next character that is no white space, "" at the end."""
        while True:
            self.drop(_SPACE.match(self.text).end())  # type: ignore[union-attr]
            if self.text or not self.grow(PIECE):
                return self.text[:1]

    def drop(self, characters: int) -> None:
        """Go on by this many characters."""
        self.line += self.text.count("\n", 0, characters)
        self.text = self.text[characters:]

    def grow(self, characters: int) -> bool:
        """Read more; return whether there was any."""
        more = self.file.read(characters)
        self.text += more
        return bool(more)

    def value(self) -> Any:
        """Return the JSON value that begins here and go past it; raise ValueError if none does."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text)
            except json.JSONDecodeError as error:
                # It may only be cut off; doubling the window keeps the cost of retries linear.
                if not self.grow(max(PIECE, len(self.text))):
                    self.drop(error.pos)
                    raise
                continue
            # A number at the very end may go on in the next piece.
            if end < len(self.text) or not self.grow(PIECE):
                self.drop(end)
                return value

    def rest(self) -> bytes:
        """Return what is in memory as bytes."""
        return self.text.encode("utf-8", "surrogatepass")


def _values(text: _Window) -> Iterator[tuple[int, Any]]:
    """Yield (number from 1, item) of an array, or (0, value) of anything else."""
    if text.peek() != "[":
        yield 0, text.value()
    else:
        yield from _items(text)
    if text.peek():
        raise ValueError("something follows the end of its JSON")


def _items(text: _Window) -> Iterator[tuple[int, Any]]:
    text.drop(1)
    number = 0
    while text.peek() != "]" or number:
        number += 1
        yield number, text.value()
        mark = text.peek()
        if mark == "]":
            break
        if mark != ",":
            raise ValueError(f"it is no valid JSON ({mark or 'the end'!r} where ',' should be)")
        text.drop(1)
    text.drop(1)
